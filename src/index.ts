// The public names of `lowrank`, and no code.

export {
  type Backend,
  type MemoryReport,
  memory,
  setBackend,
  withBackend,
} from './core/backend.ts'
export { checkpoint } from './core/checkpoint.ts'
export type { DType } from './core/dtype.ts'
export { type ErrorCode, LowrankError } from './core/errors.ts'
export {
  type GradcheckEntry,
  type GradcheckOptions,
  type GradcheckReport,
  gradcheck,
} from './core/gradcheck.ts'
export { type OpEvent, observeOps } from './core/op.ts'
export { Parameter } from './core/parameter.ts'
export { manualSeed } from './core/random_state.ts'
export { Random } from './core/rng.ts'
export type { Shape } from './core/shape.ts'
export { backward, noGrad, step } from './core/tape.ts'
export { Tensor, type TensorOptions, tensor } from './core/tensor.ts'
export { attach } from './lora/attach.ts'
export type { LoraConfig } from './lora/config.ts'
export * from './nn/index.ts'
export * from './ops/index.ts'
export * from './optim/index.ts'
export { trainStep } from './train/train_step.ts'

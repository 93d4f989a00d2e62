// The public names of `lowrank`, and no code.

export { type Backend, type MemoryReport, memory, setBackend, withBackend } from './core/backend.ts'
export type { DType } from './core/dtype.ts'
export { type ErrorCode, LowrankError } from './core/errors.ts'
export { Parameter } from './core/parameter.ts'
export { Random } from './core/rng.ts'
export type { Shape } from './core/shape.ts'
export { backward, noGrad, step } from './core/tape.ts'
export { Tensor, tensor } from './core/tensor.ts'
export { matmul } from './ops/matmul.ts'
export { reshape } from './ops/reshape.ts'

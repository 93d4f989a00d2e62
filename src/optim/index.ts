// Optimizers, clipping and schedules.

export { Adafactor, type AdafactorOptions } from './adafactor.ts'
export { Adam, type AdamOptions } from './adam.ts'
export { AdamW } from './adamw.ts'
export { type ClipGradNormOptions, clipGradNorm } from './clip_grad_norm.ts'
export type { Group, ParameterGroup, Trainables } from './group.ts'
export { type LoraPlusGroup, type LoraPlusOptions, loraPlusGroups } from './lora_plus.ts'
export { Optimizer, type OptimizerStepOptions } from './optimizer.ts'
export {
  type CosineOptions,
  type CosineWarmupOptions,
  constantSchedule,
  constantWithWarmupSchedule,
  cosineSchedule,
  cosineWarmupSchedule,
  cosineWithRestartsSchedule,
  type DecayOptions,
  type GetScheduleOptions,
  getSchedule,
  type InverseSqrtOptions,
  inverseSqrtSchedule,
  linearSchedule,
  type PolynomialOptions,
  polynomialSchedule,
  SCHEDULE_NAMES,
  type Schedule,
  type StageShape,
  type WarmupOptions,
  type WarmupStableDecayOptions,
  warmupStableDecaySchedule,
} from './schedule.ts'
export { SGD, type SgdOptions } from './sgd.ts'
export {
  type GroupState,
  loadStateDict,
  type OptimizerState,
  type StateTensor,
  stateDict,
} from './state.ts'
export {
  TransformersAdafactor,
  type TransformersAdafactorOptions,
} from './transformers_adafactor.ts'

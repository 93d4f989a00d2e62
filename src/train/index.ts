// The public names of `lowrank/train`, and no code.

export {
  type CompletionExample,
  type Example,
  parseExamples,
  type TextExample,
  type TokenizedExample,
  tokenizeExamples,
} from './data.ts'
export {
  type EvaluateOptions,
  evaluateLoss,
  exactMatch,
  type Prediction,
  type PredictOptions,
  predict,
  sameAnswer,
} from './evaluate.ts'
export { finetune } from './finetune.ts'
export { decode, type GenerateOptions, generate, generateTokens } from './generate.ts'
export { MemoryPlan, type MemoryPlanOptions, planMemory } from './memory_plan.ts'
export {
  type EvalReport,
  type FinetuneOptions,
  type StepReport,
  TRAINING_DEFAULTS,
} from './options.ts'
export type { FinetuneRun } from './progress.ts'
export { processScores, type SamplingOptions } from './sampling.ts'
export type { DecodeOptions, EncodeOptions, Tokenizer } from './tokenizer.ts'
export {
  startTrace,
  type Trace,
  type TraceEvent,
  type TraceKind,
  type TraceOptions,
  type TraceTotal,
} from './trace.ts'
export { trainStep } from './train_step.ts'

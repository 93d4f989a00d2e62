// Options of a fine-tune, their defaults, and every mistake in them at once.

import { throwAll } from '../core/errors.ts'
import type { ByteSource } from '../io/source.ts'
import {
  constantSchedule,
  cosineSchedule,
  type DecayOptions,
  linearSchedule,
  type Schedule,
} from '../optim/schedule.ts'
import type { Example } from './data.ts'
import type { Tokenizer } from './tokenizer.ts'

export interface StepReport {
  /** Optimizer steps done, this one included. */
  readonly step: number
  readonly totalSteps: number
  /** Epochs done, with the fraction of the current one. */
  readonly epoch: number
  /** Mean cross-entropy of the step's learned tokens, in nats. */
  readonly loss: number
  readonly lr: number
  /** The L2 norm of all gradients before clipping. */
  readonly gradNorm: number
  /** Tokens that are not padding, since training began, per second of training. */
  readonly tokensPerSecond: number
}

export interface EvalReport {
  readonly step: number
  /** Mean cross-entropy of the evaluation examples, in nats. */
  readonly loss: number
  /** Whether it is the lowest so far. */
  readonly best: boolean
}

export interface FinetuneOptions {
  readonly tokenizer: Tokenizer
  readonly data: readonly Example[]
  /** Peak learning rate; 2e-4 if absent. */
  readonly lr?: number
  /** Passes over the data; 3 if absent. */
  readonly epochs?: number
  /** Sequences per forward pass; 8 if absent. */
  readonly batchSize?: number
  /** Forward passes per optimizer step; 1 if absent. */
  readonly gradientAccumulationSteps?: number
  /** AdamW's decoupled weight decay; 0 if absent. */
  readonly weightDecay?: number
  /** Gradients are scaled down to this common L2 norm; 1 if absent. */
  readonly maxGradNorm?: number
  /** `linear` if absent. */
  readonly schedule?: 'constant' | 'linear' | 'cosine'
  /** The share of all steps over which the rate rises from 0; 0.03 if absent. */
  readonly warmupRatio?: number
  /** The longest sequence; the model's own limit if absent. */
  readonly maxTokens?: number
  /** Seeds the order of the data and dropout; 0 if absent. */
  readonly seed?: number
  /** Examples whose loss is measured after each epoch; the best adapter is kept at the end. */
  readonly evalData?: readonly Example[]
  /** Measures it every so many steps instead. */
  readonly evalEvery?: number
  /**
   * Reads losses and gradient norms every so many steps, so that a GPU is not waited for in between; 1 if
   * absent. `onStep` is still told of every step, but of those of one reading together.
   */
  readonly loggingSteps?: number
  /** A checkpoint to go on from, of a run with the same options. */
  readonly resume?: ByteSource
  /** Stops after the step that is running; the run says so and can be saved. */
  readonly signal?: AbortSignal
  readonly onStep?: (report: StepReport) => void
  readonly onEval?: (report: EvalReport) => void
  /** Told what the run would otherwise be silent about, such as an adapter that does not move; written
   * to the console if absent. */
  readonly onWarning?: (warning: string) => void
}

/** Options with their defaults. */
export interface TrainingPlan {
  readonly lr: number
  readonly epochs: number
  readonly batchSize: number
  readonly gradientAccumulationSteps: number
  readonly weightDecay: number
  readonly maxGradNorm: number
  readonly schedule: 'constant' | 'linear' | 'cosine'
  readonly warmupRatio: number
  readonly seed: number
}

export const TRAINING_DEFAULTS: TrainingPlan = {
  lr: 2e-4,
  epochs: 3,
  batchSize: 8,
  gradientAccumulationSteps: 1,
  weightDecay: 0,
  maxGradNorm: 1,
  schedule: 'linear',
  warmupRatio: 0.03,
  seed: 0,
}

/** Those of all schedules that a run chooses from: a bundle holds no others. */
export const SCHEDULES: Readonly<
  Record<TrainingPlan['schedule'], (options: DecayOptions) => Schedule>
> = {
  constant: constantSchedule,
  linear: linearSchedule,
  cosine: cosineSchedule,
}

/** Options without a place in the plan. */
const OTHER_OPTIONS: Readonly<Record<Exclude<keyof FinetuneOptions, keyof TrainingPlan>, true>> = {
  tokenizer: true,
  data: true,
  maxTokens: true,
  evalData: true,
  evalEvery: true,
  loggingSteps: true,
  resume: true,
  signal: true,
  onStep: true,
  onEval: true,
  onWarning: true,
}

/** Names that no option has. */
function unknownNames(options: FinetuneOptions): string[] {
  const known = Object.keys({ ...TRAINING_DEFAULTS, ...OTHER_OPTIONS })
  return Object.keys(options)
    .filter(name => !known.includes(name))
    .map(name => `${name}: unknown option (known: ${known.join(', ')})`)
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) > 0
}

/** Fills in the defaults; throws an `argument` error that lists every mistake. */
export function resolveTraining(options: FinetuneOptions): TrainingPlan {
  const plan: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(TRAINING_DEFAULTS)) {
    plan[name] = options[name as keyof TrainingPlan] ?? value
  }
  const training = plan as unknown as TrainingPlan
  const problems = unknownNames(options)
  const check = (ok: boolean, name: string, wanted: string, value: unknown): void => {
    if (!ok) {
      problems.push(`${name}: expected ${wanted}, got ${String(value)}`)
    }
  }
  const { epochs, batchSize, gradientAccumulationSteps } = training
  const { evalEvery, loggingSteps, maxTokens } = options
  const counts = {
    epochs,
    batchSize,
    gradientAccumulationSteps,
    evalEvery,
    loggingSteps,
    maxTokens,
  }
  for (const [name, value] of Object.entries(counts)) {
    check(value === undefined || isCount(value), name, 'a whole number from 1 up', value)
  }
  const { lr, weightDecay, maxGradNorm, warmupRatio, schedule, seed } = training
  check(lr > 0 && Number.isFinite(lr), 'lr', 'a number above 0', lr)
  check(weightDecay >= 0, 'weightDecay', 'a number from 0 up', weightDecay)
  check(maxGradNorm > 0, 'maxGradNorm', 'a number above 0', maxGradNorm)
  check(warmupRatio >= 0 && warmupRatio <= 1, 'warmupRatio', 'a number from 0 to 1', warmupRatio)
  const schedules = Object.keys(SCHEDULES)
  check(schedules.includes(schedule), 'schedule', schedules.join(' or '), schedule)
  check(Number.isSafeInteger(seed) && seed >= 0, 'seed', 'a whole number from 0 up', seed)
  throwAll('argument', 'finetune', problems)
  return training
}

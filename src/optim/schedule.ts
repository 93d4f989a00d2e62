// Learning-rate schedules: pure functions of the step, counted from 0, that give the factor of the
// initial rate. All but the constant one start with a linear warm-up,
//   step / numWarmupSteps   for step < numWarmupSteps;
// progress p = (step − numWarmupSteps) / (numTrainingSteps − numWarmupSteps) then runs from 0 to 1.
// Source: transformers.optimization.get_scheduler.

import { LowrankError, throwAll } from '../core/errors.ts'
import { cosTurns, pow } from '../core/math.ts'

/** The factor of the initial learning rate at a step, counted from 0. */
export type Schedule = (step: number) => number

export interface WarmupOptions {
  /** Steps of linear warm-up; 0 if absent. */
  readonly numWarmupSteps?: number
}

export interface DecayOptions extends WarmupOptions {
  /** The step at which the decay ends. */
  readonly numTrainingSteps: number
}

type Numbers = Readonly<Record<string, number>>

/** Throws unless `counts` are whole and all numbers finite and 0 or more. */
function check(where: string, counts: Numbers, numbers: Numbers = {}): void {
  const problems = [...Object.entries(counts), ...Object.entries(numbers)].flatMap(
    ([name, value]) => {
      const fits = name in counts ? Number.isInteger(value) : Number.isFinite(value)
      const kind = name in counts ? 'whole' : 'finite'
      return fits && value >= 0 ? [] : [`${name} must be ${kind} and 0 or more, got ${value}`]
    },
  )
  throwAll('argument', where, problems)
}

/** Linear warm-up before `rest`. */
function warmed(numWarmupSteps: number, rest: Schedule): Schedule {
  return step => (step < numWarmupSteps ? step / Math.max(1, numWarmupSteps) : rest(step))
}

/** Warm-up, then `shape` of the progress, which goes on beyond 1, and of the share that is left. */
function decaying(
  where: string,
  options: DecayOptions,
  shape: (progress: number, left: number) => number,
): Schedule {
  const { numWarmupSteps = 0, numTrainingSteps } = options
  check(where, { numWarmupSteps, numTrainingSteps })
  const span = Math.max(1, numTrainingSteps - numWarmupSteps)
  return warmed(numWarmupSteps, step =>
    shape((step - numWarmupSteps) / span, (numTrainingSteps - step) / span),
  )
}

/** From 1 to 0 in half a turn of the cosine. */
function halfCosine(turns: number): number {
  return 0.5 * (1 + cosTurns(turns))
}

/** A factor in [0, 1] stretched to [least, 1]. */
function raised(factor: number, least: number): number {
  return Math.max(0, factor * (1 - least) + least)
}

/**
 * 1 at every step.
 *
 * @example
 * ```ts
 * import { constantSchedule } from 'lowrank'
 *
 * console.log(constantSchedule()(1000)) // 1
 * ```
 */
export function constantSchedule(): Schedule {
  return () => 1
}

/** Linear warm-up, then 1. Throws an `argument` error. */
export function constantWithWarmupSchedule(options: WarmupOptions = {}): Schedule {
  const { numWarmupSteps = 0 } = options
  check('constantWithWarmupSchedule', { numWarmupSteps })
  return warmed(numWarmupSteps, constantSchedule())
}

/**
 * Linear warm-up, then linearly down to 0 at `numTrainingSteps`. Throws an `argument` error.
 *
 * @example
 * ```ts
 * import { linearSchedule } from 'lowrank'
 *
 * const schedule = linearSchedule({ numWarmupSteps: 2, numTrainingSteps: 6 })
 * console.log([0, 1, 2, 4, 6].map(schedule)) // [0, 0.5, 1, 0.5, 0]
 * ```
 */
export function linearSchedule(options: DecayOptions): Schedule {
  return decaying('linearSchedule', options, (_progress, left) => Math.max(0, left))
}

export interface CosineOptions extends DecayOptions {
  /** Turns of the cosine; half a turn by default, from 1 down to the least factor. */
  readonly numCycles?: number
  /** The least factor; 0 by default. */
  readonly minLrRate?: number
}

/**
 * Linear warm-up, then a cosine, from 1 down to `minLrRate`. Throws an `argument` error.
 *
 * @example
 * ```ts
 * import { AdamW, cosineSchedule, Parameter } from 'lowrank'
 *
 * const optimizer = new AdamW([new Parameter([1], [1])], { lr: 0.5 })
 * const schedule = cosineSchedule({ numTrainingSteps: 10, minLrRate: 0.5 })
 * optimizer.scaleLearningRate(schedule(5))
 * console.log(optimizer.groups[0].lr) // 0.375
 * ```
 */
export function cosineSchedule(options: CosineOptions): Schedule {
  const { numCycles = 0.5, minLrRate = 0 } = options
  check('cosineSchedule', {}, { numCycles, minLrRate })
  return decaying('cosineSchedule', options, p => raised(halfCosine(numCycles * p), minLrRate))
}

/** Linear warm-up, then `numCycles` (1 by default) half cosines, each from 1 to 0; 0 at the end. */
export function cosineWithRestartsSchedule(options: Omit<CosineOptions, 'minLrRate'>): Schedule {
  const { numCycles = 1 } = options
  check('cosineWithRestartsSchedule', {}, { numCycles })
  return decaying('cosineWithRestartsSchedule', options, p =>
    p >= 1 ? 0 : halfCosine(0.5 * ((numCycles * p) % 1)),
  )
}

export interface CosineWarmupOptions extends CosineOptions {
  /** The factor of the first step; 1 / numWarmupSteps if absent. */
  readonly warmupLrRate?: number
}

/** Like `cosineSchedule`, but with a first step above 0: warm-up and cosine are one step ahead. */
export function cosineWarmupSchedule(options: CosineWarmupOptions): Schedule {
  const {
    numCycles = 0.5,
    minLrRate = 0,
    numWarmupSteps = 0,
    numTrainingSteps,
    warmupLrRate,
  } = options
  const numbers = { numCycles, minLrRate, warmupLrRate: warmupLrRate ?? 0 }
  check('cosineWarmupSchedule', { numWarmupSteps, numTrainingSteps }, numbers)
  const span = Math.max(1, numTrainingSteps - numWarmupSteps)
  return step => {
    if (step >= numWarmupSteps) {
      return raised(halfCosine((numCycles * (step - numWarmupSteps + 1)) / span), minLrRate)
    }
    return warmupLrRate === undefined
      ? (step + 1) / numWarmupSteps
      : warmupLrRate + ((1 - warmupLrRate) * step) / Math.max(1, numWarmupSteps - 1)
  }
}

export interface PolynomialOptions extends DecayOptions {
  /** The exponent; 1 by default. */
  readonly power?: number
  /** The factor at the end; 0 by default. transformers ends at a rate of 1e-7: pass 1e-7 / lr. */
  readonly endLrRate?: number
}

/** Linear warm-up, then (1 − progress)^power, scaled to end at `endLrRate`. */
export function polynomialSchedule(options: PolynomialOptions): Schedule {
  const { power = 1, endLrRate = 0 } = options
  check('polynomialSchedule', {}, { power, endLrRate })
  return decaying('polynomialSchedule', options, progress =>
    progress > 1 ? endLrRate : (1 - endLrRate) * pow(1 - progress, power) + endLrRate,
  )
}

export interface InverseSqrtOptions extends WarmupOptions {
  /** Steps after which the factor has fallen to √½; `numWarmupSteps`, or 10,000, if absent. */
  readonly timescale?: number
}

/** Linear warm-up, then √(timescale / (step − numWarmupSteps + timescale)). */
export function inverseSqrtSchedule(options: InverseSqrtOptions = {}): Schedule {
  const { numWarmupSteps = 0 } = options
  const timescale = options.timescale ?? (numWarmupSteps || 10_000)
  check('inverseSqrtSchedule', { numWarmupSteps, timescale })
  const shift = timescale - numWarmupSteps
  return warmed(numWarmupSteps, step => 1 / Math.sqrt((step + shift) / timescale))
}

/** How a stage of `warmupStableDecaySchedule` runs from one end to the other. */
export type StageShape = 'linear' | 'cosine' | '1-sqrt'

export interface WarmupStableDecayOptions extends WarmupOptions {
  /** Steps at the full rate. */
  readonly numStableSteps: number
  readonly numDecaySteps: number
  /** 'linear' by default. */
  readonly warmupType?: StageShape
  /** 'cosine' by default. */
  readonly decayType?: StageShape
  /** The factor at both ends; 0 by default. */
  readonly minLrRate?: number
  /** Turns of the cosine of the decay; 0.5 by default. */
  readonly numCycles?: number
}

/** From 1 to 0 as the progress goes from 0 to 1. */
function falling(shape: StageShape, progress: number, numCycles: number): number {
  switch (shape) {
    case 'linear':
      return 1 - progress
    case 'cosine':
      return halfCosine(numCycles * progress)
    case '1-sqrt':
      return 1 - Math.sqrt(progress)
  }
}

/** Warm-up from `minLrRate`, `numStableSteps` at 1, decay to `minLrRate`. Throws an `argument` error. */
export function warmupStableDecaySchedule(options: WarmupStableDecayOptions): Schedule {
  const { numWarmupSteps = 0, numStableSteps, numDecaySteps } = options
  const { minLrRate = 0, numCycles = 0.5, warmupType = 'linear', decayType = 'cosine' } = options
  const counts = { numWarmupSteps, numStableSteps, numDecaySteps }
  check('warmupStableDecaySchedule', counts, { minLrRate, numCycles })
  const end = numWarmupSteps + numStableSteps
  return step => {
    if (step < numWarmupSteps) {
      return raised(falling(warmupType, 1 - step / numWarmupSteps, 0.5), minLrRate)
    }
    if (step < end) {
      return 1
    }
    return step < end + numDecaySteps
      ? raised(falling(decayType, (step - end) / numDecaySteps, numCycles), minLrRate)
      : minLrRate
  }
}

export interface GetScheduleOptions extends WarmupOptions {
  /** The number of steps of the whole training. */
  readonly numTrainingSteps: number
  readonly numCycles?: number
  readonly minLrRate?: number
  readonly power?: number
  readonly endLrRate?: number
  readonly timescale?: number
  readonly warmupLrRate?: number
  /** For `warmup_stable_decay`; a tenth of `numTrainingSteps` if absent. */
  readonly numDecaySteps?: number
  /** For `warmup_stable_decay`; what the other stages leave of `numTrainingSteps` if absent. */
  readonly numStableSteps?: number
  readonly warmupType?: StageShape
  readonly decayType?: StageShape
}

function stableOptions(options: GetScheduleOptions) {
  const { numWarmupSteps = 0, numTrainingSteps } = options
  const numDecaySteps = options.numDecaySteps ?? Math.floor(numTrainingSteps / 10)
  const rest = Math.max(0, numTrainingSteps - numWarmupSteps - numDecaySteps)
  const { numStableSteps = rest } = options
  return { ...options, numDecaySteps, numStableSteps }
}

const SCHEDULES: Readonly<Record<string, (options: GetScheduleOptions) => Schedule>> = {
  constant: constantSchedule,
  constant_with_warmup: constantWithWarmupSchedule,
  linear: linearSchedule,
  cosine: cosineSchedule,
  cosine_with_restarts: cosineWithRestartsSchedule,
  cosine_with_min_lr: cosineSchedule,
  cosine_warmup_with_min_lr: cosineWarmupSchedule,
  polynomial: polynomialSchedule,
  inverse_sqrt: inverseSqrtSchedule,
  warmup_stable_decay: options => warmupStableDecaySchedule(stableOptions(options)),
}

/** Names that `getSchedule` knows. */
export const SCHEDULE_NAMES: readonly string[] = /* @__PURE__ */ Object.keys(SCHEDULES)

/**
 * A schedule by its name. Throws an `argument` error for a name that is not in `SCHEDULE_NAMES` or
 * options out of range.
 *
 * @example
 * ```ts
 * import { getSchedule } from 'lowrank'
 *
 * console.log(getSchedule('linear', { numTrainingSteps: 4 })(1)) // 0.75
 * ```
 */
export function getSchedule(name: string, options: GetScheduleOptions): Schedule {
  if (!SCHEDULE_NAMES.includes(name)) {
    throw new LowrankError(
      'argument',
      `getSchedule: expected one of ${SCHEDULE_NAMES.join(', ')}, got "${name}"`,
    )
  }
  return SCHEDULES[name](options)
}

// Rows of transformers' get_scheduler of the family optim: lrs[i] is the rate of step i.

import { type GetScheduleOptions, getSchedule, type Schedule } from '../../optim/index.ts'
import type { Case } from '../case.ts'
import type { Check } from '../compare.ts'
import type { Answer, CaseKind } from '../kind.ts'
import { compareNumbers } from '../numbers.ts'

/** A call of get_scheduler; the arguments of its own that only some schedules have. */
export interface ScheduleCall {
  readonly name: string
  readonly num_warmup_steps?: number | null
  readonly num_training_steps?: number | null
  // biome-ignore lint/suspicious/noExplicitAny: numbers, and words for shapes
  readonly scheduler_specific_kwargs?: Readonly<Record<string, any>> | null
}

interface ScheduleRow extends ScheduleCall {
  readonly lr: number
  readonly lrs: readonly number[]
}

/** What transformers calls the least rate, as a share of `lr`. */
function minLrRate(own: NonNullable<ScheduleCall['scheduler_specific_kwargs']>, lr: number) {
  return own.min_lr_rate ?? own.min_lr_ratio ?? (own.min_lr == null ? undefined : own.min_lr / lr)
}

/** Absolute rates of transformers become factors; transformers' lr_end is 1e-7 unless given. */
function optionsOf(call: ScheduleCall, lr: number): GetScheduleOptions {
  const { name } = call
  const own = call.scheduler_specific_kwargs ?? {}
  return {
    numWarmupSteps: call.num_warmup_steps ?? 0,
    numTrainingSteps: call.num_training_steps ?? 1,
    numCycles: own.num_cycles,
    minLrRate: minLrRate(own, lr),
    warmupLrRate: own.warmup_lr_rate ?? undefined,
    power: own.power,
    endLrRate: name === 'polynomial' ? (own.lr_end ?? 1e-7) / lr : undefined,
    timescale: own.timescale ?? undefined,
    numDecaySteps: own.num_decay_steps,
    numStableSteps: own.num_stable_steps ?? undefined,
    warmupType: own.warmup_type,
    decayType: own.decay_type,
  }
}

/** The schedule that a case names, for a rate of `lr`. */
export function scheduleOf(call: ScheduleCall, lr: number): Schedule {
  return getSchedule(call.name, optionsOf(call, lr))
}

function run({ json }: Case): Answer {
  const rows = json.rows as ScheduleRow[]
  const lrs = rows.map(row => {
    const schedule = scheduleOf(row, row.lr)
    return row.lrs.map((_, step) => row.lr * schedule(step))
  })
  return { tensors: {}, json: { lrs } }
}

function compare({ json }: Case, answer: Answer): Check[] {
  const got = (answer.json?.lrs ?? []) as readonly unknown[]
  return (json.rows as ScheduleRow[]).map(({ name, lrs }, i) =>
    compareNumbers(`lrs of row ${i}, ${name}`, got[i], lrs, json.tolerance.f64),
  )
}

/** Each row with the number of its rates in their place. */
function question(json: { readonly rows: readonly ScheduleRow[] }): unknown {
  return { ...json, rows: json.rows.map(row => ({ ...row, lrs: row.lrs.length })) }
}

export const schedules: CaseKind = { run, compare, question }

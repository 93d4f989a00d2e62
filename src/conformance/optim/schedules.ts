// Rows of transformers' get_scheduler of the family optim: lrs[i] is the rate of step i.

import { type GetScheduleOptions, getSchedule } from '../../optim/index.ts'
import type { Case } from '../case.ts'
import { type Check, scaledError } from '../compare.ts'
import type { Answer, CaseKind } from '../kind.ts'

export interface ScheduleRow {
  readonly name: string
  readonly lr: number
  readonly num_warmup_steps: number | null
  readonly num_training_steps: number | null
  readonly scheduler_specific_kwargs: Readonly<Record<string, number>>
  readonly lrs: readonly number[]
}

/** Absolute rates of transformers become factors; transformers' lr_end is 1e-7 unless given. */
function optionsOf(row: ScheduleRow): GetScheduleOptions {
  const { name, lr, scheduler_specific_kwargs: own } = row
  return {
    numWarmupSteps: row.num_warmup_steps ?? 0,
    numTrainingSteps: row.num_training_steps ?? 1,
    numCycles: own.num_cycles,
    minLrRate: own.min_lr_rate ?? (own.min_lr === undefined ? undefined : own.min_lr / lr),
    power: own.power,
    endLrRate: name === 'polynomial' ? (own.lr_end ?? 1e-7) / lr : undefined,
    timescale: own.timescale,
    numDecaySteps: own.num_decay_steps,
  }
}

function run({ json }: Case): Answer {
  const rows = json.rows as ScheduleRow[]
  const lrs = rows.map(row => {
    const schedule = getSchedule(row.name, optionsOf(row))
    return row.lrs.map((_, step) => row.lr * schedule(step))
  })
  return { tensors: {}, json: { lrs } }
}

function compare({ json }: Case, answer: Answer): Check[] {
  const got = (answer.json?.lrs ?? []) as number[][]
  return (json.rows as ScheduleRow[]).map(({ name, lrs }, i) => ({
    what: `row ${i}, ${name}`,
    error: scaledError(got[i] ?? [], lrs),
    tolerance: json.tolerance.f64,
  }))
}

/** Each row with the number of its rates in their place. */
function question(json: { readonly rows: readonly ScheduleRow[] }): unknown {
  return { ...json, rows: json.rows.map(row => ({ ...row, lrs: row.lrs.length })) }
}

export const schedules: CaseKind = { run, compare, question }

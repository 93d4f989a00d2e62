// Schedules against transformers' get_scheduler, step by step.

import { describe, expect, test } from 'vitest'
import {
  cosineWarmupSchedule,
  cosineWithRestartsSchedule,
  getSchedule,
  inverseSqrtSchedule,
  linearSchedule,
  polynomialSchedule,
  SCHEDULE_NAMES,
  type StageShape,
  warmupStableDecaySchedule,
} from '../../src/optim/schedule.ts'
import { goldenCases, scaledError } from '../support/fixture.ts'

const [schedules] = goldenCases('optim').filter(({ json }) => json.kind === 'schedules')

interface Row {
  readonly name: string
  readonly lr: number
  readonly num_warmup_steps: number | null
  readonly num_training_steps: number | null
  readonly scheduler_specific_kwargs: Record<string, number>
  readonly lrs: number[]
}

const rows: Row[] = schedules.json.rows

/** Absolute rates of transformers become factors; transformers' lr_end is 1e-7 unless given. */
function optionsOf({ name, lr, scheduler_specific_kwargs: own, ...row }: Row) {
  const endLrRate = name === 'polynomial' ? (own.lr_end ?? 1e-7) / lr : undefined
  return {
    numWarmupSteps: row.num_warmup_steps ?? 0,
    numTrainingSteps: row.num_training_steps ?? 1,
    numCycles: own.num_cycles,
    minLrRate: own.min_lr_rate ?? (own.min_lr === undefined ? undefined : own.min_lr / lr),
    power: own.power,
    endLrRate,
    timescale: own.timescale,
    numDecaySteps: own.num_decay_steps,
  }
}

describe('schedules', () => {
  test.each(rows.map((row, i) => [`${i} ${row.name}`, row] as const))('%s', (_, row) => {
    const schedule = getSchedule(row.name, optionsOf(row))
    const rates = row.lrs.map((_lr, step) => row.lr * schedule(step))
    expect(scaledError(rates, row.lrs)).toBeLessThanOrEqual(schedules.json.tolerance.f64)
  })

  test('every name has a row', () => {
    expect(new Set(rows.map(row => row.name))).toEqual(new Set(SCHEDULE_NAMES))
  })

  // Values by hand, of what the golden rows leave out.
  test.each<[StageShape, number[]]>([
    ['linear', [0.2, 0.6, 1, 1, 1, 0.6, 0.2]],
    ['cosine', [0.2, 0.6, 1, 1, 1, 0.6, 0.2]],
    ['1-sqrt', [0.2, 0.2 + 0.8 * (1 - Math.SQRT1_2), 1, 1, 1, 0.2 + 0.8 * (1 - Math.SQRT1_2), 0.2]],
  ])('warmup_stable_decay with %s stages', (shape, want) => {
    const schedule = warmupStableDecaySchedule({
      numWarmupSteps: 2,
      numStableSteps: 2,
      numDecaySteps: 2,
      warmupType: shape,
      decayType: shape,
      minLrRate: 0.2,
    })
    expect(scaledError([0, 1, 2, 3, 4, 5, 6].map(schedule), want)).toBeLessThan(1e-15)
  })

  test('cosine_warmup_with_min_lr from a given first rate', () => {
    const schedule = cosineWarmupSchedule({
      numWarmupSteps: 3,
      numTrainingSteps: 5,
      warmupLrRate: 0.5,
    })
    expect(scaledError([0, 1, 2, 3, 4].map(schedule), [0.5, 0.75, 1, 0.5, 0])).toBeLessThan(1e-15)
  })

  test('no step gives NaN, whatever the lengths', () => {
    for (const name of SCHEDULE_NAMES) {
      for (const [numWarmupSteps, numTrainingSteps] of [
        [0, 0],
        [0, 1],
        [3, 3],
        [5, 2],
      ]) {
        const schedule = getSchedule(name, { numWarmupSteps, numTrainingSteps })
        for (let step = 0; step < 8; step++) {
          const factor = schedule(step)
          expect(factor >= 0 && factor <= 1, `${name} at ${step}: ${factor}`).toBe(true)
        }
      }
    }
  })

  test('says everything that is wrong with the options', () => {
    const numTrainingSteps = 10
    expect(() => linearSchedule({ numWarmupSteps: -1, numTrainingSteps: 1.5 })).toThrow(
      /linearSchedule: 2 problems\n.*numWarmupSteps.*whole.*-1\n.*numTrainingSteps.*1.5/,
    )
    expect(() => polynomialSchedule({ numTrainingSteps, power: Number.NaN })).toThrow('power')
    expect(() => cosineWithRestartsSchedule({ numTrainingSteps, numCycles: -1 })).toThrow('-1')
    expect(() => inverseSqrtSchedule({ timescale: 0.5 })).toThrow('timescale')
    expect(() => getSchedule('liner', { numTrainingSteps })).toThrow(/expected one of.*"liner"/)
  })
})

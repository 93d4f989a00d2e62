// Schedules by hand, and what they refuse; conformance cases compare them with transformers'.

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
import { scaledError } from '../support/fixture.ts'

describe('schedules', () => {
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

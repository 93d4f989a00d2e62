// Options at their edges: what is refused, and what is the last value that is not.

import { describe, expect, test } from 'vitest'
import { Parameter } from '../../src/core/parameter.ts'
import {
  Adam,
  clipGradNorm,
  constantWithWarmupSchedule,
  cosineSchedule,
  cosineWarmupSchedule,
  cosineWithRestartsSchedule,
  getSchedule,
  inverseSqrtSchedule,
  loraPlusGroups,
  polynomialSchedule,
  SGD,
  warmupStableDecaySchedule,
} from '../../src/optim/index.ts'
import { setGradient } from '../support/gradients.ts'

const parameter = (): Parameter => new Parameter([1, 2], [2])

describe('options of optimizers', () => {
  test('betas are two numbers', () => {
    for (const betas of [[0.9], [0.9, 0.99, 0.999], 0.9, 'two']) {
      const options = { lr: 0.1, betas: betas as unknown as [number, number] }
      expect(() => new Adam([parameter()], options)).toThrow('betas must be two numbers')
    }
  })

  test('Nesterov momentum takes no dampening', () => {
    const options = { lr: 0.1, momentum: 0.9, nesterov: true, dampening: 0.1 }
    expect(() => new SGD([parameter()], options)).toThrow('no dampening')
    expect(() => new SGD([parameter()], { ...options, dampening: 0 })).not.toThrow()
  })

  test('a norm of 0 is a limit like any other', () => {
    const one = parameter()
    setGradient(one, [3, 4])
    expect(clipGradNorm([one], 0).itemSync()).toBeCloseTo(5, 6)
    expect(Array.from(one.grad?.dataSync() ?? [])).toEqual([0, 0])
  })

  test('a norm layer is known by the start of a part of its name', () => {
    const named = ['h.0.ln_1.weight', 'ln_f.weight', 'kiln_1.weight'].map(name => {
      const one = parameter()
      one.name = name
      return one
    })
    const groups = loraPlusGroups(named, { lr: 1e-3, ratio: 4, weightDecay: 0.1 })
    const decayed = groups.flatMap(({ weightDecay, params }) =>
      weightDecay > 0 ? params.map(({ name }) => name) : [],
    )
    expect(decayed).toEqual(['kiln_1.weight'])
  })
})

describe('options of schedules', () => {
  test.each<[string, () => unknown]>([
    ['numCycles', () => cosineWithRestartsSchedule({ numTrainingSteps: 5, numCycles: Number.NaN })],
    ['numWarmupSteps', () => constantWithWarmupSchedule({ numWarmupSteps: -1 })],
    ['numCycles', () => cosineSchedule({ numTrainingSteps: 5, numCycles: Number.NaN })],
    ['power', () => polynomialSchedule({ numTrainingSteps: 5, power: -1 })],
    ['warmupLrRate', () => cosineWarmupSchedule({ numTrainingSteps: 5, warmupLrRate: -1 })],
    ['numTrainingSteps', () => cosineWarmupSchedule({ numTrainingSteps: -5 })],
    ['timescale', () => inverseSqrtSchedule({ timescale: -1 })],
    ['numStableSteps', () => warmupStableDecaySchedule({ numStableSteps: -1, numDecaySteps: 1 })],
    [
      'minLrRate',
      () => warmupStableDecaySchedule({ numStableSteps: 1, numDecaySteps: 1, minLrRate: -1 }),
    ],
  ])('%s out of range is refused', (name, make) => {
    expect(make).toThrow(name)
  })

  test('without a number of its own the decay takes the last tenth', () => {
    const schedule = getSchedule('warmup_stable_decay', { numTrainingSteps: 100 })
    expect(schedule(89)).toBe(1)
    expect(schedule(95)).toBeLessThan(0.6)
    expect(schedule(95)).toBeGreaterThan(0.4)
  })
})

// Options at their edges: what is refused, and what is the last value that is not.

import { describe, expect, test } from 'vitest'
import { Parameter } from '../../src/core/parameter.ts'
import {
  Adafactor,
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
  TransformersAdafactor,
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

  test('epsilons are two numbers', () => {
    for (const eps of [[0.1], [0.1, 0.1, 0.1], 0.1, 'two']) {
      const options = { eps: eps as unknown as [number, number] }
      expect(() => new Adafactor([parameter()], options)).toThrow('eps must be two numbers')
      const make = (): unknown => new TransformersAdafactor([parameter()], options)
      expect(make).toThrow('eps must be two numbers')
    }
  })

  test.each([
    [{ warmupInit: true, relativeStep: false, lr: 0.1 }, 'warmupInit needs relativeStep'],
    [{ beta1: 1 }, 'beta1 must be in [0, 1), got 1'],
    [{ clipThreshold: 0 }, 'clipThreshold must be above 0, got 0'],
    [{ clipThreshold: Number.NaN }, 'clipThreshold must be above 0, got NaN'],
    [{ decayRate: 0.1 }, 'decayRate must be 0 or less, got 0.1'],
    [{ decayRate: Number.NaN }, 'decayRate must be 0 or less, got NaN'],
  ])('TransformersAdafactor refuses %o', (options, message) => {
    expect(() => new TransformersAdafactor([parameter()], options)).toThrow(message)
  })

  test('variances may be kept without decay', () => {
    expect(() => new TransformersAdafactor([parameter()], { decayRate: 0 })).not.toThrow()
    expect(() => new Adafactor([parameter()], { beta2Decay: 0 })).not.toThrow()
  })

  test('numbers in strings are no numbers', () => {
    const make = (): unknown => new SGD([parameter()], { lr: '0.1' as unknown as number })
    expect(make).toThrow('SGD: lr must be finite and 0 or more, got 0.1')
  })

  test('an option that is undefined takes its default', () => {
    expect(new SGD([parameter()], { lr: undefined }).groups[0].lr).toBe(1e-3)
  })

  test('what is trained is float32', () => {
    const half = new Parameter([1, 2], [2], { dtype: 'float16', requiresGrad: true })
    expect(() => new SGD([half])).toThrow('parameter 0 is float16; trained parameters are float32')
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

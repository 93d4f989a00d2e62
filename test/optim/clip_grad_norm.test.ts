// clipGradNorm: the norm against a sum in float64, what is left alone, what is refused.

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { Random } from '../../src/core/rng.ts'
import { clipGradNorm } from '../../src/optim/clip_grad_norm.ts'
import { backends } from '../support/backends.ts'
import { setGradient } from '../support/gradients.ts'

function withGradients(gradients: readonly ArrayLike<number>[]): Parameter[] {
  return gradients.map(data => {
    const parameter = new Parameter(new Float32Array(data.length), [data.length])
    setGradient(parameter, data)
    return parameter
  })
}

describe.each(backends)('clipGradNorm on $name', ({ make }) => {
  test('leaves no bytes behind and skips parameters without a gradient', () => {
    const backend = make()
    withBackend(backend, () => {
      const [a, b] = withGradients([
        [3, 4],
        [100, 100],
      ])
      b.clearGrad()
      clipGradNorm([a, b], 1)
      const before = backend.memory().used
      expect(clipGradNorm([a, b], 10).itemSync()).toBeCloseTo(1, 5)
      expect(backend.memory().used).toBe(before)
      expect([...(b.grad?.dataSync() ?? [])]).toEqual([100, 100])
    })
  })

  test.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'leaves gradients alone where one is %d',
    bad => {
      withBackend(make(), () => {
        for (const normType of [1, 2, 3, Number.POSITIVE_INFINITY]) {
          for (let at = 0; at < 13; at++) {
            const data = Array.from({ length: 13 }, (_, i) => (i === at ? bad : 5))
            const parameters = withGradients([[1, 2], data])
            expect(clipGradNorm(parameters, 1, { normType }).itemSync()).not.toBeLessThan(1e30)
            expect([...(parameters[1].grad?.dataSync() ?? [])]).toEqual(data)
          }
        }
      })
    },
  )

  // Sums in f64: what remains is the rounding of the result to f32, and 1e-13 of the powers.
  test('the norm equals a sum in float64, rounded once, at every length', () => {
    const backend = make()
    const lengths = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 4 })
    const types = fc.constantFrom(1, 2, 3, 2.5, 0.5, Number.POSITIVE_INFINITY)
    fc.assert(
      fc.property(lengths, types, fc.integer(), (sizes, normType, seed) => {
        const random = new Random(seed, 'gradients')
        const gradients = sizes.map(n =>
          Float32Array.from({ length: n }, () => random.uniform() * 2 - 1),
        )
        const all = gradients.flatMap(gradient => [...gradient]).map(Math.abs)
        const want =
          normType === Number.POSITIVE_INFINITY
            ? Math.max(0, ...all)
            : all.reduce((sum, x) => sum + x ** normType, 0) ** (1 / normType)
        const got = withBackend(backend, () =>
          clipGradNorm(withGradients(gradients), 1, { normType }).itemSync(),
        )
        // Without float64: squares, powers and their sum are rounded, each to a few last places.
        const limit = backend.name === 'webgpu' ? 2 ** -19 : 6.1e-8
        expect(Math.abs(got - want)).toBeLessThanOrEqual(limit * want)
      }),
      { numRuns: 200 },
    )
  })

  test('a sum of 2²⁰ squares keeps its digits, and large ones do not overflow', () => {
    withBackend(make(), () => {
      const many = withGradients([new Float32Array(2 ** 20).fill(0.1)])
      const exact = Math.sqrt(2 ** 20 * Math.fround(0.1) ** 2)
      expect(Math.abs(clipGradNorm(many, 1).itemSync() / exact - 1)).toBeLessThan(1.2e-7)
      const large = withGradients([[3e30, 4e30]])
      expect(clipGradNorm(large, 1).itemSync() / 5e30).toBeCloseTo(1, 6)
      expect(large[0].grad?.dataSync()[0]).toBeCloseTo(0.6, 6)
    })
  })

  test('says everything that is wrong with its arguments', () => {
    withBackend(make(), () => {
      expect(() => clipGradNorm([], -1, { normType: 0 })).toThrow(
        /clipGradNorm: 3 problems\n.*at least one parameter.*\n.*maxNorm.*-1.*\n.*normType.*0/,
      )
      expect(() => clipGradNorm(withGradients([[1]]), Number.NaN)).toThrow('maxNorm')
    })
  })
})

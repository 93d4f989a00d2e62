// The effective rank: known values, invariance, limits.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { effectiveRank } from '../../src/analysis/index.ts'
import { EPSILON } from '../linalg/matrices.ts'

const values = fc.array(fc.double({ min: 1e-3, max: 1e3, noNaN: true }), {
  minLength: 1,
  maxLength: 16,
})

describe('effectiveRank', () => {
  it('counts equal directions', () => {
    for (let count = 1; count <= 64; count *= 2) {
      const equal = new Float64Array(count + 3).fill(0.7, 0, count)
      // Each of `count` additions rounds an entropy of up to log(count); exp and log add a little.
      const entropy = (count * Math.log(count) + 8) * EPSILON
      expect(Math.abs(effectiveRank(equal) - count)).toBeLessThan(count * entropy)
    }
  })

  it('is exp of the entropy of σ / Σσ: √8 for shares 1/2, 1/4, 1/4', () => {
    // H = ½·log 2 + 2·¼·log 4 = 1.5·log 2.
    expect(effectiveRank([2, 1, 1])).toBeCloseTo(2 * Math.SQRT2, 14)
  })

  it('lies between 1 and the number of values, and knows no scale and no order', () => {
    fc.assert(
      fc.property(values, fc.double({ min: 1e-9, max: 1e9, noNaN: true }), (sigma, scale) => {
        const rank = effectiveRank(sigma)
        expect(rank).toBeGreaterThanOrEqual(1 - 16 * EPSILON)
        expect(rank).toBeLessThanOrEqual(sigma.length * (1 + 64 * EPSILON))
        const other = effectiveRank(sigma.map(value => value * scale).reverse())
        expect(Math.abs(other - rank)).toBeLessThan(256 * EPSILON * rank)
      }),
    )
  })

  it('is 0 without a change, and survives the largest and smallest numbers', () => {
    expect(effectiveRank([])).toBe(0)
    expect(effectiveRank([0, 0])).toBe(0)
    expect(effectiveRank([1e308, 1e308])).toBeCloseTo(2, 14)
    expect(effectiveRank([1, 5e-324])).toBe(1)
  })

  it('refuses what is no singular value', () => {
    expect(() => effectiveRank([1, -1])).toThrow(
      'effectiveRank: expected singular values, from 0 up and finite, got -1',
    )
    expect(() => effectiveRank([Number.NaN])).toThrow('got NaN')
  })
})

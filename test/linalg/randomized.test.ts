// The randomised decomposition against the exact one, and components of rows that come in batches.

import { describe, expect, it } from 'vitest'
import { Random } from '../../src/core/rng.ts'
import { IncrementalPca } from '../../src/linalg/incremental_pca.ts'
import { multiply, randomizedSvd, svd, transpose } from '../../src/linalg/index.ts'
import { bound, maxDifference, orthogonalityError, randomMatrix } from './matrices.ts'

/** A matrix with singular values 1, 1/4, 1/16, … */
function decaying(rows: number, cols: number): Float64Array {
  const { u, vt, k } = svd(randomMatrix(new Random(1), rows, cols), rows, cols)
  const scaled = u.map((value, at) => value * 4 ** -(at % k))
  return multiply(scaled, vt, rows, k, cols)
}

describe('randomizedSvd', () => {
  it('finds the largest values of a spectrum that falls by 4, up to rounding', () => {
    const a = decaying(30, 20)
    const got = randomizedSvd(a, 30, 20, 3, { iterations: 8, random: new Random(2) })
    const want = Float64Array.of(1, 1 / 4, 1 / 16)
    // Each round leaves (σ₄/σ₃)² = 1/16 of the error, on which the values depend by its square.
    expect(maxDifference(got.s, want)).toBeLessThan(bound(30, 20))
    expect(orthogonalityError(got.u, 30, 3)).toBeLessThan(bound(30, 20))
    expect(orthogonalityError(transpose(got.vt, 3, 20), 20, 3)).toBeLessThan(bound(30, 20))
  })

  it('is less exact with fewer rounds, and the same for the same seed', () => {
    const a = decaying(30, 20)
    const error = (iterations: number, seed: number): number => {
      const { s } = randomizedSvd(a, 30, 20, 3, { iterations, random: new Random(seed) })
      return Math.abs(s[2] - 1 / 16)
    }
    expect(error(0, 2)).toBeGreaterThan(error(2, 2))
    expect(error(0, 2)).toBe(error(0, 2))
    expect(error(0, 2)).not.toBe(error(0, 3))
  })

  it('refuses counts that a matrix does not have', () => {
    const options = { random: new Random(1) }
    expect(() => randomizedSvd(new Float64Array(6), 2, 3, 3, options)).toThrow('from 1 to 2, got 3')
  })
})

describe('IncrementalPca', () => {
  const cols = 6
  const rows = randomMatrix(new Random(7), 40, cols).map(
    (value, at) => value * (1 + (at % cols)) + 3,
  )

  /** Of all rows at once: the mean is taken off, then singular vectors. */
  function whole(): { s: Float64Array; vt: Float64Array } {
    const mean = Array.from({ length: cols }, (_, c) => {
      const column = rows.filter((_, at) => at % cols === c)
      return column.reduce((sum, value) => sum + value, 0) / 40
    })
    return svd(
      rows.map((value, at) => value - mean[at % cols]),
      40,
      cols,
    )
  }

  it('with every component equals one decomposition of all rows', () => {
    const pca = new IncrementalPca(cols, cols)
    for (let batch = 0; batch < 4; batch++) {
      pca.fit(rows.slice(batch * 10 * cols, (batch + 1) * 10 * cols), 10)
    }
    const { s, vt } = whole()
    expect(maxDifference(pca.singularValues, s)).toBeLessThan(bound(40, cols) * s[0])
    expect(pca.explained.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 12)
    for (let i = 0; i < cols; i++) {
      const own = pca.components.subarray(i * cols, (i + 1) * cols)
      const cosine = own.reduce((sum, value, c) => sum + value * vt[i * cols + c], 0)
      expect(Math.abs(cosine)).toBeCloseTo(1, 10)
      const largest = own.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best))
      expect(largest).toBeGreaterThan(0)
    }
  })

  it('finds the directions of large batches, too', () => {
    const random = new Random(8)
    const wide = Float64Array.from({ length: 200 * 120 }, (_, at) => {
      return random.normal() * (at % 120 < 3 ? 10 - 3 * (at % 120) : 0.1)
    })
    const pca = new IncrementalPca(3, 120)
    pca.fit(wide.slice(0, 100 * 120), 100)
    pca.fit(wide.slice(100 * 120), 100)
    for (let i = 0; i < 3; i++) {
      // Deviations 10, 7 and 4 of 200 rows tell directions apart up to about 1/√200 each.
      expect(pca.components[i * 120 + i]).toBeGreaterThan(0.95)
    }
    expect(pca.explained[0] + pca.explained[1] + pca.explained[2]).toBeGreaterThan(0.98)
  })

  it('refuses more components than columns', () => {
    expect(() => new IncrementalPca(7, 6)).toThrow('expected 1 to 6 components of rows of 6, got 7')
  })
})

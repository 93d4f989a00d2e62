// A = QR: reconstruction, orthonormal Q, triangular R, for every shape and rank.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/core/rng.ts'
import { multiply, pivotedQr, type Qr, qr } from '../../src/linalg/index.ts'
import {
  bound,
  EPSILON,
  matrixOfRank,
  maxAbs,
  maxDifference,
  orthogonalityError,
  randomMatrix,
} from './matrices.ts'

function expectFactors(a: Float64Array, rows: number, cols: number, factors: Qr): void {
  const { q, r, k } = factors
  expect(k).toBe(Math.min(rows, cols))
  expect(q.length).toBe(rows * k)
  expect(r.length).toBe(k * cols)
  expect(orthogonalityError(q, rows, k)).toBeLessThanOrEqual(bound(rows, cols))
  for (let i = 0; i < k; i++) {
    expect(r.subarray(i * cols, i * cols + i).every(value => value === 0)).toBe(true)
  }
  const error = maxDifference(a, multiply(q, r, rows, k, cols))
  expect(error).toBeLessThanOrEqual(bound(rows, cols) * Math.sqrt(rows * cols) * maxAbs(a))
}

function permuted(a: Float64Array, cols: number, order: Int32Array): Float64Array {
  return a.map((_, at) => a[at - (at % cols) + order[at % cols]])
}

const sizes = fc.record({
  rows: fc.integer({ min: 0, max: 20 }),
  cols: fc.integer({ min: 0, max: 20 }),
  rank: fc.integer({ min: 0, max: 20 }),
  seed: fc.nat(),
})

describe('qr', () => {
  it('reconstructs random matrices of every shape and rank', () => {
    fc.assert(
      fc.property(sizes, ({ rows, cols, rank, seed }) => {
        const a = matrixOfRank(new Random(seed), rows, cols, rank)
        expectFactors(a, rows, cols, qr(a, rows, cols))
      }),
    )
  })

  it('gives exact factors by hand: the column (3, 4) has length 5', () => {
    const { q, r } = qr(new Float64Array([3, 4]), 2, 1)
    expect(r[0]).toBe(-5)
    expect(maxDifference(q, new Float64Array([-0.6, -0.8]))).toBeLessThanOrEqual(EPSILON)
  })

  it('takes zeros, single numbers, rows and columns', () => {
    for (const [rows, cols] of [
      [3, 2],
      [1, 1],
      [1, 5],
      [5, 1],
    ]) {
      const zeros = new Float64Array(rows * cols)
      expectFactors(zeros, rows, cols, qr(zeros, rows, cols))
      const random = randomMatrix(new Random(5), rows, cols)
      expectFactors(random, rows, cols, qr(random, rows, cols))
    }
  })

  it('keeps its accuracy for very large and very small entries', () => {
    for (const scale of [1e-300, 1e-160, 1e160, 1e300]) {
      const a = randomMatrix(new Random(6), 7, 4).map(value => value * scale)
      expectFactors(a, 7, 4, qr(a, 7, 4))
    }
  })

  it('computes only the first k reflections when asked', () => {
    const a = randomMatrix(new Random(7), 9, 6)
    const whole = qr(a, 9, 6)
    const part = qr(a, 9, 6, 2)
    expect(part.q).toEqual(whole.q.filter((_, at) => at % 6 < 2).map(value => value))
    expect(part.r).toEqual(whole.r.subarray(0, 12))
    expect(part.k).toBe(2)
  })

  it('leaves its argument as it was', () => {
    const a = randomMatrix(new Random(8), 4, 4)
    const before = a.slice()
    qr(a, 4, 4)
    expect(a).toEqual(before)
  })

  it('refuses sizes that do not fit and numbers that are none', () => {
    expect(() => qr(new Float64Array(5), 2, 3)).toThrow('qr: expected 2 × 3 numbers, got 5')
    expect(() => qr(new Float64Array(1), -1, -1)).toThrow('qr: expected -1 × -1 numbers')
    expect(() => qr(new Float64Array([1, 2, 3, Number.NaN]), 2, 2)).toThrow(
      'qr: expected finite numbers, got NaN at row 1, column 1',
    )
    expect(() => qr(new Float64Array(4), 2, 2, 3)).toThrow('k must be a whole number from 0 to 2')
  })
})

describe('pivotedQr', () => {
  it('reconstructs the permuted matrix with a descending diagonal', () => {
    fc.assert(
      fc.property(sizes, ({ rows, cols, rank, seed }) => {
        const a = matrixOfRank(new Random(seed), rows, cols, rank)
        const factors = pivotedQr(a, rows, cols)
        expect(Array.from(factors.order).sort((x, y) => x - y)).toEqual([...Array(cols).keys()])
        expectFactors(permuted(a, cols, factors.order), rows, cols, factors)
        for (let i = 1; i < factors.k; i++) {
          const before = Math.abs(factors.r[(i - 1) * cols + i - 1])
          const slack = bound(rows, cols) * maxAbs(a) * 20
          expect(Math.abs(factors.r[i * cols + i])).toBeLessThanOrEqual(before + slack)
        }
      }),
    )
  })

  it('measures columns again that are nearly multiples of the first', () => {
    const size = 6
    const a = new Float64Array(size * size).fill(1)
    for (let j = 1; j < size; j++) {
      a[j * size + j] += j * 1e-10
    }
    const { order } = pivotedQr(a, size, size)
    expect(Array.from(order)).toEqual([5, 4, 3, 2, 1, 0])
  })

  it('finds the rank: the diagonal falls to rounding after it', () => {
    const a = matrixOfRank(new Random(9), 12, 10, 4)
    const { r } = pivotedQr(a, 12, 10)
    expect(Math.abs(r[3 * 10 + 3])).toBeGreaterThan(1e-3)
    expect(Math.abs(r[4 * 10 + 4])).toBeLessThan(bound(12, 10) * maxAbs(a) * 10)
  })
})

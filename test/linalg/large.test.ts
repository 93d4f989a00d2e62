// The decomposition by way of a bidiagonal matrix: the same promises as by Jacobi rotations, for every
// shape and rank, and for some of the values alone.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/core/rng.ts'
import {
  leadingSvd,
  multiply,
  type Svd,
  svd,
  trailingSvd,
  transpose,
} from '../../src/linalg/index.ts'
import { orientedSvd } from '../../src/linalg/large.ts'
import { bound, matrixOfRank, maxDifference, orthogonalityError, randomMatrix } from './matrices.ts'

/** Everything but that the vectors reconstruct the matrix. */
function expectPart(rows: number, cols: number, { u, s, vt, k }: Svd): void {
  expect([u.length, s.length, vt.length]).toEqual([rows * k, k, k * cols])
  expect(s.every((value, i) => value >= 0 && (i === 0 || value <= s[i - 1]))).toBe(true)
  expect(orthogonalityError(u, rows, k)).toBeLessThanOrEqual(bound(rows, cols))
  expect(orthogonalityError(transpose(vt, k, cols), cols, k)).toBeLessThanOrEqual(bound(rows, cols))
}

function expectWhole(a: Float64Array, rows: number, cols: number, got: Svd): void {
  const { u, s, vt, k } = got
  expectPart(rows, cols, got)
  const scaled = u.map((value, at) => value * s[at % k])
  const error = maxDifference(a, multiply(scaled, vt, rows, k, cols))
  expect(error).toBeLessThanOrEqual(bound(rows, cols) * (s[0] ?? 0))
}

const sizes = fc.record({
  rows: fc.integer({ min: 1, max: 24 }),
  cols: fc.integer({ min: 1, max: 24 }),
  rank: fc.integer({ min: 0, max: 24 }),
  seed: fc.nat(),
})

describe('orientedSvd', () => {
  it('decomposes random matrices of every shape and rank, as Jacobi rotations do', () => {
    fc.assert(
      fc.property(sizes, ({ rows, cols, rank, seed }) => {
        const a = matrixOfRank(new Random(seed), rows, cols, rank)
        const got = orientedSvd(a, rows, cols, 0, Math.min(rows, cols))
        expectWhole(a, rows, cols, got)
        const want = svd(a, rows, cols).s
        expect(maxDifference(got.s, want)).toBeLessThanOrEqual(bound(rows, cols) * (want[0] ?? 0))
      }),
    )
  })

  it('decomposes zeros, single rows and columns, repeated and graded values', () => {
    for (const [rows, cols] of [
      [1, 1],
      [1, 6],
      [6, 1],
      [4, 3],
    ]) {
      const zeros = new Float64Array(rows * cols)
      expectWhole(zeros, rows, cols, orientedSvd(zeros, rows, cols, 0, Math.min(rows, cols)))
    }
    const identity = Float64Array.from({ length: 49 }, (_, at) => (at % 8 === 0 ? 1 : 0))
    expect(orientedSvd(identity, 7, 7, 0, 7).s).toEqual(new Float64Array(7).fill(1))
    for (const ratio of [0.01, 100]) {
      const graded = randomMatrix(new Random(2), 9, 9)
      graded.forEach((value, at) => {
        graded[at] = value * ratio ** (Math.floor(at / 9) - 4)
      })
      expectWhole(graded, 9, 9, orientedSvd(graded, 9, 9, 0, 9))
    }
  })

  it('splits where the diagonal holds a zero', () => {
    const a = new Float64Array(25)
    for (const [at, value] of [
      [0, 3],
      [1, 1],
      [7, 2],
      [12, 4],
      [13, 1],
      [18, 0],
      [19, 5],
      [24, 2],
    ]) {
      a[at] = value
    }
    expectWhole(a, 5, 5, orientedSvd(a, 5, 5, 0, 5))
  })

  it('finds some of the values as it finds all of them', () => {
    const a = randomMatrix(new Random(3), 20, 17)
    const whole = orientedSvd(a, 20, 17, 0, 17)
    const part = orientedSvd(a, 20, 17, 4, 9)
    expectPart(20, 17, part)
    expect(part.s).toEqual(whole.s.slice(4, 9))
    expect(part.vt).toEqual(whole.vt.slice(4 * 17, 9 * 17))
  })
})

describe('svd of more than 96 rows and columns', () => {
  const a = matrixOfRank(new Random(4), 120, 101, 90)
  const whole = svd(a, 120, 101)

  it('reconstructs a matrix that has not full rank, scaled up or down', () => {
    expectWhole(a, 120, 101, whole)
    expect(whole.s[90]).toBeLessThan(bound(120, 101) * whole.s[0])
    for (const scale of [2 ** -500, 2 ** 500]) {
      const scaled = a.map(value => value * scale)
      expect(svd(scaled, 120, 101).s).toEqual(whole.s.map(value => value * scale))
    }
  })

  it('gives the same bits twice and leaves its argument as it was', () => {
    const before = a.slice()
    expect(svd(a, 120, 101)).toEqual(whole)
    expect(a).toEqual(before)
  })

  it('has a first and a last part', () => {
    const first = leadingSvd(a, 120, 101, 3)
    const last = trailingSvd(a, 120, 101, 2)
    expect(first.s).toEqual(whole.s.slice(0, 3))
    expect(last.s).toEqual(whole.s.slice(99))
    expectPart(120, 101, first)
    expectPart(120, 101, last)
  })
})

describe('leadingSvd and trailingSvd', () => {
  it('of small matrices are parts of the whole', () => {
    const a = randomMatrix(new Random(5), 6, 9)
    const { u, s, vt } = svd(a, 6, 9)
    const first = leadingSvd(a, 6, 9, 2)
    expect(first.s).toEqual(s.slice(0, 2))
    expect(first.u).toEqual(u.filter((_, at) => at % 6 < 2))
    const last = trailingSvd(a, 6, 9, 2)
    expect(last.vt).toEqual(vt.slice(4 * 9))
    expect(last.u).toEqual(u.filter((_, at) => at % 6 >= 4))
  })

  it('refuse counts that a matrix does not have', () => {
    const a = randomMatrix(new Random(5), 6, 9)
    expect(() => leadingSvd(a, 6, 9, 7)).toThrow('k must be a whole number from 1 to 6, got 7')
    expect(() => trailingSvd(a, 6, 9, 0)).toThrow('k must be a whole number from 1 to 6, got 0')
    expect(() => leadingSvd(a, 6, 8, 1)).toThrow('leadingSvd: expected 6 × 8 numbers')
  })
})

// A = U · diag(s) · Vt: reconstruction, orthonormal factors, order, known values, products.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Random } from '../../src/core/rng.ts'
import { multiply, type Svd, svd, svdOfProduct, transpose } from '../../src/linalg/index.ts'
import { goldenTensor } from './golden.ts'
import {
  bound,
  EPSILON,
  matrixOfRank,
  maxDifference,
  orthogonalityError,
  randomMatrix,
} from './matrices.ts'

function expectDecomposition(a: Float64Array, rows: number, cols: number, got: Svd): void {
  const { u, s, vt, k } = got
  expect([u.length, s.length, vt.length]).toEqual([rows * k, k, k * cols])
  expect(s.every((value, i) => value >= 0 && (i === 0 || value <= s[i - 1]))).toBe(true)
  expect(orthogonalityError(u, rows, k)).toBeLessThanOrEqual(bound(rows, cols))
  expect(orthogonalityError(transpose(vt, k, cols), cols, k)).toBeLessThanOrEqual(bound(rows, cols))
  const scaled = u.map((value, at) => value * s[at % k])
  const error = maxDifference(a, multiply(scaled, vt, rows, k, cols))
  expect(error).toBeLessThanOrEqual(bound(rows, cols) * (s[0] ?? 0))
}

const sizes = fc.record({
  rows: fc.integer({ min: 0, max: 24 }),
  cols: fc.integer({ min: 0, max: 24 }),
  rank: fc.integer({ min: 0, max: 24 }),
  seed: fc.nat(),
})

describe('svd', () => {
  it('decomposes random matrices of every shape and rank', () => {
    fc.assert(
      fc.property(sizes, ({ rows, cols, rank, seed }) => {
        const a = matrixOfRank(new Random(seed), rows, cols, rank)
        const got = svd(a, rows, cols)
        expectDecomposition(a, rows, cols, got)
        const beyond = got.s.subarray(Math.min(rank, got.k))
        expect(beyond.every(value => value <= bound(rows, cols) * got.s[0])).toBe(true)
      }),
    )
  })

  it('decomposes zeros, rows, columns, single numbers and nothing', () => {
    for (const [rows, cols] of [
      [1, 1],
      [1, 6],
      [6, 1],
      [4, 3],
      [3, 4],
      [0, 3],
      [3, 0],
      [0, 0],
    ]) {
      const zeros = new Float64Array(rows * cols)
      expectDecomposition(zeros, rows, cols, svd(zeros, rows, cols))
      const random = randomMatrix(new Random(1), rows, cols)
      expectDecomposition(random, rows, cols, svd(random, rows, cols))
    }
  })

  it('finds diagonal, repeated and negative values', () => {
    const diagonal = new Float64Array([0, -2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 2])
    const got = svd(diagonal, 3, 4)
    expect(Array.from(got.s)).toEqual([3, 2, 2])
    expectDecomposition(diagonal, 3, 4, got)
    const identity = new Float64Array([1, 0, 0, 1])
    expect(Array.from(svd(identity, 2, 2).s)).toEqual([1, 1])
  })

  it('completes both bases where columns repeat exactly', () => {
    const repeated = Float64Array.from({ length: 40 }, (_, at) => 1 + (at >> 3))
    expectDecomposition(repeated, 5, 8, svd(repeated, 5, 8))
    expectDecomposition(repeated, 8, 5, svd(repeated, 8, 5))
    const onePillar = new Float64Array(36)
    onePillar[14] = 7
    expectDecomposition(onePillar, 6, 6, svd(onePillar, 6, 6))
  })

  // Values of the rounded matrices, by Jacobi rotations in 80 decimal digits.
  it('finds the singular values of the 10 × 10 Hilbert matrix (condition 1.6e13)', () => {
    const hilbert = Float64Array.from(
      { length: 100 },
      (_, at) => 1 / (Math.floor(at / 10) + (at % 10) + 1),
    )
    const want = [
      1.7519196702651776, 0.3429295484835091, 0.035741816271639235, 0.0025308907686700287,
      0.0001287496142763734, 4.729689293190096e-6, 1.2289677387429186e-7, 2.1474388217975424e-9,
      2.2667455503810733e-11, 1.0932524334974553e-13,
    ]
    const { s } = svd(hilbert, 10, 10)
    expect(maxDifference(s, Float64Array.from(want))).toBeLessThan(4 * EPSILON)
  })

  it('keeps all digits of small values where only the columns are badly scaled', () => {
    const graded = Float64Array.from({ length: 36 }, (_, at) => {
      const i = Math.floor(at / 6)
      const j = at % 6
      return (((i * i * 7 + j * 5 + i * j * j * 3) % 13) - 6.25) * 2 ** (-8 * j)
    })
    const want = [
      9.131040466492772, 0.040006813251682996, 9.625331903715352e-5, 5.347278634600404e-7,
      9.6095054816741e-10, 2.195523171258912e-12,
    ]
    svd(graded, 6, 6).s.forEach((value, i) => {
      expect(Math.abs(value / want[i] - 1)).toBeLessThan(36 * EPSILON)
    })
  })

  it('is unmoved by scaling with powers of two, down to the smallest numbers', () => {
    const a = randomMatrix(new Random(2), 6, 5)
    const plain = svd(a, 6, 5)
    for (const scale of [2 ** -900, 2 ** -300, 2 ** 300, 2 ** 1000]) {
      const scaled = svd(
        a.map(value => value * scale),
        6,
        5,
      )
      expect(scaled.s).toEqual(plain.s.map(value => value * scale))
      expect(scaled.u).toEqual(plain.u)
    }
    expect(svd(new Float64Array([5e-324]), 1, 1).s[0]).toBe(5e-324)
  })

  it('agrees with the golden singular values of a weight', async () => {
    const weight = await goldenTensor('base.weight')
    const want = await goldenTensor('exact.singular_values')
    const { s } = svd(weight, 12, 16)
    expect(maxDifference(s, want)).toBeLessThan(bound(12, 16) * want[0])
  })

  it('gives the same bits twice and leaves its argument as it was', () => {
    const a = randomMatrix(new Random(3), 9, 7)
    const before = a.slice()
    expect(svd(a, 9, 7)).toEqual(svd(a, 9, 7))
    expect(a).toEqual(before)
  })

  it('refuses sizes that do not fit and numbers that are none', () => {
    expect(() => svd(new Float64Array(5), 2, 3)).toThrow('svd: expected 2 × 3 numbers, got 5')
    const infinite = new Float64Array([1, Number.POSITIVE_INFINITY])
    expect(() => svd(infinite, 2, 1)).toThrow('got Infinity at row 1, column 0')
  })
})

describe('svdOfProduct', () => {
  it('equals the decomposition of the product', () => {
    fc.assert(
      fc.property(sizes, ({ rows, cols, rank, seed }) => {
        const random = new Random(seed)
        const b = randomMatrix(random, rows, rank)
        const a = randomMatrix(random, rank, cols)
        const product = multiply(b, a, rows, rank, cols)
        const got = svdOfProduct(b, a, rows, rank, cols)
        expect(got.k).toBe(Math.min(rows, rank, cols))
        const scale = Math.max(1, rank)
        const { u, s, vt, k } = got
        expect(orthogonalityError(u, rows, k)).toBeLessThanOrEqual(bound(rows, cols + rank))
        const right = orthogonalityError(transpose(vt, k, cols), cols, k)
        expect(right).toBeLessThanOrEqual(bound(rows + rank, cols))
        const scaled = u.map((value, at) => value * s[at % k])
        const error = maxDifference(product, multiply(scaled, vt, rows, k, cols))
        // The factors are at most √(rows·rank) and √(rank·cols) in norm, and round separately.
        const size = Math.sqrt(rows * rank * rank * cols)
        expect(error).toBeLessThanOrEqual(bound(scale, scale) * size)
        const direct = svd(product, rows, cols).s.subarray(0, k)
        expect(maxDifference(s, direct)).toBeLessThanOrEqual(bound(scale, scale) * size)
      }),
    )
  })

  it('takes a zero B, as before the first step of training', () => {
    const got = svdOfProduct(new Float64Array(20), randomMatrix(new Random(4), 2, 7), 10, 2, 7)
    expect(Array.from(got.s)).toEqual([0, 0])
    expect(orthogonalityError(got.u, 10, 2)).toBeLessThan(bound(10, 7))
    expect(orthogonalityError(transpose(got.vt, 2, 7), 7, 2)).toBeLessThan(bound(10, 7))
  })

  it('says which factor does not fit, and refuses a product that overflows', () => {
    const two = new Float64Array(2)
    expect(() => svdOfProduct(two, two, 2, 2, 1)).toThrow('svdOfProduct: b: expected 2 × 2')
    expect(() => svdOfProduct(two, two, 2, 1, 3)).toThrow('svdOfProduct: a: expected 1 × 3')
    const huge = new Float64Array([1e200])
    expect(() => svdOfProduct(huge, huge, 1, 1, 1)).toThrow('overflows')
  })
})

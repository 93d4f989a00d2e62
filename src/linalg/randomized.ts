// The k largest singular values of A [M, N] by sampling its range: Y = A·G with G [N, k] normal,
// Q = qr(Y), then `iterations` times Q = qr(A·qr(Aᵀ·Q)), then the small decomposition of Qᵀ·A. Each
// iteration multiplies the weight of direction i by (σᵢ/σ₁)², so a spectrum that falls fast needs few.
// Source: Halko, Martinsson and Tropp, "Finding structure with randomness" (arXiv 0909.4061),
// algorithms 4.4 and 5.1, as in torch.svd_lowrank.

import { LowrankError } from '../core/errors.ts'
import type { Random } from '../core/rng.ts'
import { checkMatrix, multiply, transpose } from './dense.ts'
import { qr } from './qr.ts'
import { type Svd, svd } from './svd.ts'

export interface RandomizedOptions {
  /** How often the range is sharpened; 2 if absent. */
  readonly iterations?: number
  readonly random: Random
}

/** Aᵀ·B for a [rows, cols], b [rows, k], row by row of both. */
function transposedProduct(
  a: Float64Array,
  b: Float64Array,
  rows: number,
  cols: number,
  k: number,
): Float64Array {
  const product = new Float64Array(cols * k)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      const factor = a[i * cols + j]
      for (let c = 0; c < k; c++) {
        product[j * k + c] += factor * b[i * k + c]
      }
    }
  }
  return product
}

/**
 * The `k` largest singular values of `a` [rows, cols] with their vectors, approximately: exact up to
 * rounding only where the spectrum falls fast. Throws `argument` for a k outside 1 … min(rows, cols),
 * `shape` and `numeric` as `svd` does. Source: Halko, Martinsson and Tropp (2011).
 *
 * @example
 * ```ts
 * import { Random } from 'lowrank'
 * import { randomizedSvd } from 'lowrank/linalg'
 *
 * const a = new Float64Array([3, 0, 0, 0, 0, 0.001])
 * const { s } = randomizedSvd(a, 2, 3, 1, { random: new Random(1), iterations: 2 })
 * console.log(s[0].toFixed(9)) // 3.000000000
 * ```
 */
export function randomizedSvd(
  a: Float64Array,
  rows: number,
  cols: number,
  k: number,
  { iterations = 2, random }: RandomizedOptions,
): Svd {
  checkMatrix('randomizedSvd', a, rows, cols)
  const most = Math.min(rows, cols)
  if (!Number.isInteger(k) || k < 1 || k > most) {
    throw new LowrankError(
      'argument',
      `randomizedSvd: k must be a whole number from 1 to ${most}, got ${k}`,
    )
  }
  const sample = Float64Array.from({ length: cols * k }, () => random.normal())
  let q = qr(multiply(a, sample, rows, cols, k), rows, k).q
  for (let i = 0; i < iterations; i++) {
    const back = qr(transposedProduct(a, q, rows, cols, k), cols, k).q
    q = qr(multiply(a, back, rows, cols, k), rows, k).q
  }
  const small = transpose(transposedProduct(a, q, rows, cols, k), cols, k)
  const { u, s, vt } = svd(small, k, cols)
  return { u: multiply(q, u, rows, k, k), s, vt, k }
}

// The largest or the smallest singular values of A [M, N] with their vectors. Of a large matrix the
// other vectors are not formed: what is left is making it bidiagonal, 8/3·N³ operations.

import { LowrankError } from '../core/errors.ts'
import { checkMatrix } from './dense.ts'
import { isLarge, type Svd, selectedSvd, svd } from './svd.ts'

function checkCount(where: string, k: number, rows: number, cols: number): void {
  const most = Math.min(rows, cols)
  if (!Number.isInteger(k) || k < 1 || k > most) {
    throw new LowrankError(
      'argument',
      `${where}: k must be a whole number from 1 to ${most}, got ${k}`,
    )
  }
}

/** Singular values `from` up to, but without, `to`. */
function select(a: Float64Array, rows: number, cols: number, from: number, to: number): Svd {
  if (isLarge(rows, cols)) {
    return selectedSvd(a, rows, cols, from, to)
  }
  const { u, s, vt, k } = svd(a, rows, cols)
  return {
    u: u.filter((_, at) => at % k >= from && at % k < to),
    s: s.slice(from, to),
    vt: vt.slice(from * cols, to * cols),
    k: to - from,
  }
}

/**
 * The `k` largest singular values of `a` [rows, cols] with their vectors: `u` [rows, k], `s` [k],
 * `vt` [k, cols]. Throws `argument` for a k outside 1 … min(rows, cols), else as `svd` does.
 *
 * @example
 * ```ts
 * import { leadingSvd } from 'lowrank/linalg'
 *
 * console.log(leadingSvd(new Float64Array([0, 2, 0, 0, 0, 3]), 2, 3, 1).s) // Float64Array [3]
 * ```
 */
export function leadingSvd(a: Float64Array, rows: number, cols: number, k: number): Svd {
  checkMatrix('leadingSvd', a, rows, cols)
  checkCount('leadingSvd', k, rows, cols)
  return select(a, rows, cols, 0, k)
}

/**
 * The `k` smallest singular values of `a` [rows, cols] with their vectors, in descending order.
 * Throws as `leadingSvd` does.
 *
 * @example
 * ```ts
 * import { trailingSvd } from 'lowrank/linalg'
 *
 * console.log(trailingSvd(new Float64Array([0, 2, 0, 0, 0, 3]), 2, 3, 1).s) // Float64Array [2]
 * ```
 */
export function trailingSvd(a: Float64Array, rows: number, cols: number, k: number): Svd {
  checkMatrix('trailingSvd', a, rows, cols)
  checkCount('trailingSvd', k, rows, cols)
  const most = Math.min(rows, cols)
  return select(a, rows, cols, most - k, most)
}

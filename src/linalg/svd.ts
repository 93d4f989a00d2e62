// Singular values: A [M, N] = U [M, K] · diag(s) [K] · Vt [K, N], K = min(M, N), s descending and
// not negative, the columns of U and the rows of Vt orthonormal. A tall A is first factored by
// pivoted QR, A[:, order] = Q · R, which leaves a small triangle whose rows one-sided Jacobi makes
// orthogonal: J · R = diag(s) · V', so U = Q · Jᵀ and Vt is V' with its columns put back.
// Above a few hundred numbers a side, bidiagonalization (large.ts) takes its place.
// Of a product B [M, R] · A [R, N] only R × R numbers are decomposed: B = Q₁R₁, Aᵀ = Q₂R₂,
// B·A = Q₁ (R₁ R₂ᵀ) Q₂ᵀ.
// Source: Drmač and Veselić, "New fast and accurate Jacobi SVD algorithm" (LAPACK note 169).

import { LowrankError } from '../core/errors.ts'
import { checkMatrix, multiply, transpose } from './dense.ts'
import { NEGLIGIBLE_NORM, orthogonalizeRows } from './jacobi.ts'
import { orientedSvd } from './large.ts'
import { pivotedQr, qr } from './qr.ts'

/**
 * A thin singular value decomposition: `u` [rows, k], `s` [k] descending, `vt` [k, cols],
 * row-major. The sign of a singular vector pair is arbitrary, but always the same.
 */
export interface Svd {
  readonly u: Float64Array
  readonly s: Float64Array
  readonly vt: Float64Array
  readonly k: number
}

/**
 * A power of two that brings the largest entry near 1, so that squares neither overflow nor
 * vanish; multiplying by it rounds nothing.
 */
export function normalizer(a: Float64Array): number {
  let largest = 0
  for (const value of a) {
    largest = Math.max(largest, Math.abs(value))
  }
  let scale = 1
  while (largest * scale >= 2) {
    scale /= 2
  }
  while (largest > 0 && largest * scale < 1 && scale < 1e300) {
    scale *= 2
  }
  return scale
}

/**
 * Up to this many rows or columns Jacobi rotations are as fast, and they keep the digits of small
 * values.
 */
const JACOBI_SIZE = 96

/** Whether a matrix is decomposed by bidiagonalization. */
export function isLarge(rows: number, cols: number): boolean {
  return Math.min(rows, cols) > JACOBI_SIZE
}

/** The norm of each row; rows that are negligible become zero. */
function rowNorms(w: Float64Array, rows: number, length: number): Float64Array {
  const norms = new Float64Array(rows)
  for (let i = 0; i < rows; i++) {
    let sum = 0
    for (const value of w.subarray(i * length, (i + 1) * length)) {
      sum += value * value
    }
    const norm = Math.sqrt(sum)
    norms[i] = norm < NEGLIGIBLE_NORM ? 0 : norm
  }
  return norms
}

/** The unit vector that the orthonormal rows so far cover least. */
function leastCovered(rows: Float64Array, count: number, length: number): number {
  const covered = new Float64Array(length)
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < length; c++) {
      covered[c] += rows[i * length + c] * rows[i * length + c]
    }
  }
  return covered.reduce((best, value, c) => (value < covered[best] ? c : best), 0)
}

/**
 * Takes from row `count` its parts along the rows before it, and scales it to length 1. Of the
 * least covered of L unit vectors at least 1/√L remains, so that once is enough.
 */
function orthonormalizeRow(rows: Float64Array, count: number, length: number): void {
  const row = rows.subarray(count * length, (count + 1) * length)
  for (let i = 0; i < count; i++) {
    const other = rows.subarray(i * length, (i + 1) * length)
    const along = row.reduce((sum, value, c) => sum + value * other[c], 0)
    for (let c = 0; c < length; c++) {
      row[c] -= along * other[c]
    }
  }
  const norm = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0))
  for (let c = 0; c < length; c++) {
    row[c] /= norm
  }
}

/** Gives rows `from` up of an orthonormal set any direction that the rows before leave free. */
function completeRows(rows: Float64Array, from: number, count: number, length: number): void {
  for (let i = from; i < count; i++) {
    rows.fill(0, i * length, (i + 1) * length)
    rows[i * length + leastCovered(rows, i, length)] = 1
    orthonormalizeRow(rows, i, length)
  }
}

/** The decomposition of a matrix with rows ≥ cols and entries near 1. */
function tallSvd(a: Float64Array, rows: number, cols: number): Svd {
  const { q, r, order } = pivotedQr(a, rows, cols)
  const j = orthogonalizeRows(r, cols, cols)
  const norms = rowNorms(r, cols, cols)
  const descending = Array.from(norms.keys()).sort((x, y) => norms[y] - norms[x] || x - y)
  const s = Float64Array.from(descending, i => norms[i])
  const vt = new Float64Array(cols * cols)
  const left = new Float64Array(cols * cols)
  descending.forEach((from, to) => {
    left.set(j.subarray(from * cols, (from + 1) * cols), to * cols)
    for (let c = 0; s[to] > 0 && c < cols; c++) {
      vt[to * cols + order[c]] = r[from * cols + c] / s[to]
    }
  })
  const rank = s.indexOf(0)
  completeRows(vt, rank < 0 ? cols : rank, cols, cols)
  return { u: multiply(q, transpose(left, cols, cols), rows, cols, cols), s, vt, k: cols }
}

/** Singular values `from` up to, but without, `to` of a large matrix, with their vectors. */
export function selectedSvd(
  a: Float64Array,
  rows: number,
  cols: number,
  from: number,
  to: number,
): Svd {
  const scale = normalizer(a)
  const scaled = a.map(value => value * scale)
  const { u, s, vt, k } = orientedSvd(scaled, rows, cols, from, to)
  return { u, s: s.map(value => value / scale), vt, k }
}

/**
 * The singular value decomposition of a row-major matrix `a` [rows, cols], A = U · diag(s) · Vt.
 *
 * Accurate to rounding of the largest value for any rank and size, 0 included; up to 96 rows or
 * columns small values keep their digits, too. Of order max·min² operations. Throws `shape` if the
 * length does not fit, `numeric` on NaN or infinity. Sources: Drmač and Veselić, LAPACK note 169;
 * Golub and Kahan (1965).
 *
 * @example
 * ```ts
 * import { svd } from 'lowrank/linalg'
 *
 * const { s } = svd(new Float64Array([0, 2, 0, 0, 0, 3]), 2, 3)
 * console.log(s) // Float64Array [3, 2]
 * ```
 */
export function svd(a: Float64Array, rows: number, cols: number): Svd {
  checkMatrix('svd', a, rows, cols)
  if (isLarge(rows, cols)) {
    return selectedSvd(a, rows, cols, 0, Math.min(rows, cols))
  }
  if (rows < cols) {
    const { u, s, vt, k } = svd(transpose(a, rows, cols), cols, rows)
    return { u: transpose(vt, k, rows), s, vt: transpose(u, cols, k), k }
  }
  const scale = normalizer(a)
  const scaled = a.map(value => value * scale)
  const { u, s, vt, k } = tallSvd(scaled, rows, cols)
  return { u, s: s.map(value => value / scale), vt, k }
}

/**
 * The singular value decomposition of B · A without forming it: `b` [rows, inner], `a`
 * [inner, cols], k = min(rows, inner, cols).
 *
 * For an update of rank 16 of a 2048 × 2048 layer this decomposes a 16 × 16 matrix. Throws as
 * `svd` does.
 *
 * @example
 * ```ts
 * import { svdOfProduct } from 'lowrank/linalg'
 *
 * const b = new Float64Array([1, 2]) // [2, 1]
 * const a = new Float64Array([3, 0, 4]) // [1, 3]
 * console.log(svdOfProduct(b, a, 2, 1, 3).s) // Float64Array [11.180339887498949]
 * ```
 */
export function svdOfProduct(
  b: Float64Array,
  a: Float64Array,
  rows: number,
  inner: number,
  cols: number,
): Svd {
  checkMatrix('svdOfProduct: b', b, rows, inner)
  checkMatrix('svdOfProduct: a', a, inner, cols)
  const left = qr(b, rows, inner)
  const right = qr(transpose(a, inner, cols), cols, inner)
  const core = multiply(left.r, transpose(right.r, right.k, inner), left.k, inner, right.k)
  if (!core.every(value => Number.isFinite(value))) {
    throw new LowrankError('numeric', 'svdOfProduct: b · a overflows (scale one of them down)')
  }
  const { u, s, vt, k } = svd(core, left.k, right.k)
  return {
    u: multiply(left.q, u, rows, left.k, k),
    s,
    vt: multiply(vt, transpose(right.q, cols, right.k), k, right.k, cols),
    k,
  }
}

// QR by Householder reflections: A [M, N] = Q [M, K] · R [K, N], K = min(M, N), the columns of Q
// orthonormal, R upper triangular. Each reflection is H = I − τ v vᵀ with v₀ = 1.
// With pivoting, the column with the largest remaining norm comes next: A[:, order] = Q · R with
// |R₀₀| ≥ |R₁₁| ≥ …
// Source: Golub and Van Loan, Matrix Computations (4th ed.), algorithms 5.1.1, 5.2.1, 5.4.1; signs
// as in LAPACK's dlarfg (the diagonal of R has the sign opposite to the column's leading entry).

import { LowrankError } from '../core/errors.ts'
import { checkMatrix } from './dense.ts'

/** A thin QR factorization: `q` [rows, k], `r` [k, cols], both row-major. */
export interface Qr {
  readonly q: Float64Array
  readonly r: Float64Array
  readonly k: number
}

/** As `Qr`, of the matrix with its columns taken in `order`. */
export interface PivotedQr extends Qr {
  readonly order: Int32Array
}

interface Work {
  readonly a: Float64Array
  readonly rows: number
  readonly cols: number
  /** One factor τ per reflection. */
  readonly tau: Float64Array
  /** vᵀA, one entry per column. */
  readonly row: Float64Array
}

function columnNorm(work: Work, column: number, from: number): number {
  const { a, rows, cols } = work
  let largest = 0
  for (let i = from; i < rows; i++) {
    largest = Math.max(largest, Math.abs(a[i * cols + column]))
  }
  if (largest === 0) {
    return 0
  }
  // Divided by the largest entry, squares neither overflow nor vanish.
  let sum = 0
  for (let i = from; i < rows; i++) {
    const ratio = a[i * cols + column] / largest
    sum += ratio * ratio
  }
  return largest * Math.sqrt(sum)
}

/** Turns column j into (β, v₁, v₂, …) from the diagonal down, and keeps τ. */
function reflector(work: Work, j: number): void {
  const { a, rows, cols } = work
  const below = columnNorm(work, j, j + 1)
  if (below === 0) {
    work.tau[j] = 0
    return
  }
  const alpha = a[j * cols + j]
  const norm = columnNorm(work, j, j)
  const beta = alpha >= 0 ? -norm : norm
  work.tau[j] = (beta - alpha) / beta
  a[j * cols + j] = beta
  for (let i = j + 1; i < rows; i++) {
    a[i * cols + j] /= alpha - beta
  }
}

/** Applies reflection j (kept in `work.a`) to columns `from` and up of `b` [rows, cols of b]. */
function reflect(work: Work, j: number, b: Float64Array, bCols: number, from: number): void {
  const { a, rows, cols, row } = work
  const tau = work.tau[j]
  if (tau === 0) {
    return
  }
  for (let c = from; c < bCols; c++) {
    row[c] = b[j * bCols + c]
  }
  for (let i = j + 1; i < rows; i++) {
    const v = a[i * cols + j]
    for (let c = from; c < bCols; c++) {
      row[c] += v * b[i * bCols + c]
    }
  }
  for (let c = from; c < bCols; c++) {
    row[c] *= tau
    b[j * bCols + c] -= row[c]
  }
  for (let i = j + 1; i < rows; i++) {
    const v = a[i * cols + j]
    for (let c = from; c < bCols; c++) {
      b[i * bCols + c] -= v * row[c]
    }
  }
}

/** Q's first k columns: the reflections applied to the identity, last one first. */
function thinQ(work: Work, k: number): Float64Array {
  const q = new Float64Array(work.rows * k)
  for (let j = k - 1; j >= 0; j--) {
    q[j * k + j] = 1
    reflect(work, j, q, k, j)
  }
  return q
}

function upperTriangle(work: Work, k: number): Float64Array {
  const { a, cols } = work
  const r = new Float64Array(k * cols)
  for (let i = 0; i < k; i++) {
    r.set(a.subarray(i * cols + i, (i + 1) * cols), i * cols + i)
  }
  return r
}

function swapColumns(work: Work, order: Int32Array, j: number, other: number): void {
  const { a, rows, cols } = work
  for (let i = 0; i < rows; i++) {
    const kept = a[i * cols + j]
    a[i * cols + j] = a[i * cols + other]
    a[i * cols + other] = kept
  }
  const kept = order[j]
  order[j] = order[other]
  order[other] = kept
}

/**
 * Remaining column norms after step j, by Pythagoras; computed afresh where cancellation would
 * leave less than half of the digits.
 */
function downdate(work: Work, norms: Float64Array, exact: Float64Array, j: number): void {
  const { a, cols } = work
  for (let c = j + 1; c < cols; c++) {
    if (norms[c] === 0) {
      continue
    }
    const ratio = a[j * cols + c] / norms[c]
    const left = Math.max(0, (1 - ratio) * (1 + ratio))
    const share = norms[c] / exact[c]
    if (left * share * share <= 1.5e-8) {
      norms[c] = columnNorm(work, c, j + 1)
      exact[c] = norms[c]
    } else {
      norms[c] *= Math.sqrt(left)
    }
  }
}

function checkSteps(k: number, most: number): void {
  if (!Number.isInteger(k) || k < 0 || k > most) {
    throw new LowrankError('argument', `qr: k must be a whole number from 0 to ${most}, got ${k}`)
  }
}

function startWork(a: Float64Array, rows: number, cols: number): Work {
  const k = Math.min(rows, cols)
  const tau = new Float64Array(k)
  return { a: a.slice(), rows, cols, tau, row: new Float64Array(cols) }
}

/**
 * The thin QR factorization of a row-major matrix `a` [rows, cols], by Householder reflections.
 *
 * With `k` below min(rows, cols) only the first k columns of q and rows of r are computed, in
 * proportionally less time; q · r is then the part of `a` in the span of its first k columns.
 * Throws `argument` if k is larger than that, `shape` if the length does not fit, `numeric` on NaN
 * or infinity. Source: Golub and Van Loan, Matrix Computations, algorithm 5.2.1.
 *
 * @example
 * ```ts
 * import { qr } from 'lowrank/linalg'
 *
 * const { r, k } = qr(new Float64Array([3, 0, 4, 5]), 2, 2)
 * console.log(k, r) // 2 Float64Array [-5, -4, 0, 3]
 * ```
 */
export function qr(
  a: Float64Array,
  rows: number,
  cols: number,
  k: number = Math.min(rows, cols),
): Qr {
  checkMatrix('qr', a, rows, cols)
  checkSteps(k, Math.min(rows, cols))
  const work = startWork(a, rows, cols)
  for (let j = 0; j < k; j++) {
    reflector(work, j)
    reflect(work, j, work.a, cols, j + 1)
  }
  return { q: thinQ(work, k), r: upperTriangle(work, k), k }
}

/**
 * The thin QR factorization with column pivoting: `a[:, order] = q · r`, the diagonal of r
 * descending in magnitude. Source: Golub and Van Loan, algorithm 5.4.1.
 *
 * @example
 * ```ts
 * import { pivotedQr } from 'lowrank/linalg'
 *
 * const { order } = pivotedQr(new Float64Array([1, 0, 0, 9]), 2, 2)
 * console.log(order[0]) // 1
 * ```
 */
export function pivotedQr(a: Float64Array, rows: number, cols: number): PivotedQr {
  checkMatrix('pivotedQr', a, rows, cols)
  const work = startWork(a, rows, cols)
  const k = Math.min(rows, cols)
  const order = Int32Array.from({ length: cols }, (_, c) => c)
  const norms = Float64Array.from({ length: cols }, (_, c) => columnNorm(work, c, 0))
  const exact = norms.slice()
  for (let j = 0; j < k; j++) {
    let largest = j
    for (let c = j + 1; c < cols; c++) {
      largest = norms[c] > norms[largest] ? c : largest
    }
    if (largest !== j) {
      swapColumns(work, order, j, largest)
      norms[largest] = norms[j]
      exact[largest] = exact[j]
    }
    reflector(work, j)
    reflect(work, j, work.a, cols, j + 1)
    downdate(work, norms, exact, j)
  }
  return { q: thinQ(work, k), r: upperTriangle(work, k), k, order }
}

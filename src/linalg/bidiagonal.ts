// A tall matrix as a bidiagonal one: A [M, N] = L · B · Rᵀ, M ≥ N, with L [M, N] and R [N, N] products
// of Householder reflections and B upper bidiagonal: diagonal d [N], superdiagonal e [N − 1].
// Reflections stay where they were made, in A: L's below the diagonal, R's right of e.
// Each column costs two passes over what is left of A: one for vᵀA, one that applies the left
// reflection, finds the right one's products and applies that, while a row is at hand.
// Source: Golub and Van Loan, Matrix Computations (4th ed.), algorithm 5.4.2.

/** The factors of A as they are kept. */
export interface Bidiagonal {
  readonly rows: number
  readonly cols: number
  readonly d: Float64Array
  readonly e: Float64Array
  /** [rows, cols]: vectors of the left reflections in columns, of the right ones in rows. */
  readonly vectors: Float64Array
  readonly leftTau: Float64Array
  readonly rightTau: Float64Array
}

interface Reflection {
  readonly beta: number
  readonly tau: number
}

/**
 * Turns x, `count` numbers from `at` on in steps of `step`, into (β, v₁, v₂, …), for which
 * (I − τ v vᵀ)·x = (β, 0, 0, …) with v₀ = 1. Entries are near 1, so squares cannot overflow.
 */
function makeReflection(a: Float64Array, at: number, step: number, count: number): Reflection {
  let below = 0
  for (let i = 1; i < count; i++) {
    const value = a[at + i * step]
    below += value * value
  }
  const alpha = a[at]
  if (below === 0) {
    return { beta: alpha, tau: 0 }
  }
  const norm = Math.sqrt(alpha * alpha + below)
  const beta = alpha >= 0 ? -norm : norm
  for (let i = 1; i < count; i++) {
    a[at + i * step] /= alpha - beta
  }
  return { beta, tau: (beta - alpha) / beta }
}

/** τ·vᵀA over the columns right of j, v being column j from the diagonal down with v₀ = 1. */
function leftProducts(
  a: Float64Array,
  rows: number,
  cols: number,
  j: number,
  tau: number,
  products: Float64Array,
): void {
  for (let c = j + 1; c < cols; c++) {
    products[c] = a[j * cols + c]
  }
  for (let i = j + 1; i < rows; i++) {
    const v = a[i * cols + j]
    const row = i * cols
    for (let c = j + 1; c < cols; c++) {
      products[c] += v * a[row + c]
    }
  }
  for (let c = j + 1; c < cols; c++) {
    products[c] *= tau
  }
}

/** Takes v·products from row `i`, right of column j. */
function subtractLeft(
  a: Float64Array,
  row: number,
  cols: number,
  j: number,
  v: number,
  products: Float64Array,
): void {
  for (let c = j + 1; c < cols; c++) {
    a[row + c] -= v * products[c]
  }
}

/** Applies the right reflection u (u₀ = 1 at column j + 1) to one row. */
function applyRight(
  a: Float64Array,
  row: number,
  cols: number,
  j: number,
  u: Float64Array,
  tau: number,
): void {
  let even = a[row + j + 1]
  let odd = 0
  let c = j + 2
  for (; c + 1 < cols; c += 2) {
    even += a[row + c] * u[c]
    odd += a[row + c + 1] * u[c + 1]
  }
  if (c < cols) {
    even += a[row + c] * u[c]
  }
  const share = tau * (even + odd)
  a[row + j + 1] -= share
  for (let c = j + 2; c < cols; c++) {
    a[row + c] -= share * u[c]
  }
}

/** Reduces `a` [rows, cols], rows ≥ cols, entries near 1; `a` is overwritten by the reflections. */
export function bidiagonalize(a: Float64Array, rows: number, cols: number): Bidiagonal {
  const d = new Float64Array(cols)
  const e = new Float64Array(Math.max(0, cols - 1))
  const leftTau = new Float64Array(cols)
  const rightTau = new Float64Array(cols)
  const products = new Float64Array(cols)
  for (let j = 0; j < cols; j++) {
    const left = makeReflection(a, j * cols + j, cols, rows - j)
    d[j] = left.beta
    leftTau[j] = left.tau
    if (j + 1 === cols) {
      break
    }
    leftProducts(a, rows, cols, j, left.tau, products)
    subtractLeft(a, j * cols, cols, j, 1, products)
    const right = makeReflection(a, j * cols + j + 1, 1, cols - j - 1)
    e[j] = right.beta
    rightTau[j] = right.tau
    const u = a.slice(j * cols, (j + 1) * cols)
    for (let i = j + 1; i < rows; i++) {
      subtractLeft(a, i * cols, cols, j, a[i * cols + j], products)
      applyRight(a, i * cols, cols, j, u, right.tau)
    }
  }
  return { rows, cols, d, e, vectors: a, leftTau, rightTau }
}

/** (I − τ v vᵀ)·X for rows `from` up of X [.., k]; `v(i)` gives the entry of row i, 1 at `from`. */
function reflectRows(
  x: Float64Array,
  k: number,
  from: number,
  to: number,
  tau: number,
  v: (i: number) => number,
  sums: Float64Array,
): void {
  sums.set(x.subarray(from * k, (from + 1) * k))
  for (let i = from + 1; i < to; i++) {
    const factor = v(i)
    for (let c = 0; c < k; c++) {
      sums[c] += factor * x[i * k + c]
    }
  }
  for (let c = 0; c < k; c++) {
    sums[c] *= tau
    x[from * k + c] -= sums[c]
  }
  for (let i = from + 1; i < to; i++) {
    const factor = v(i)
    for (let c = 0; c < k; c++) {
      x[i * k + c] -= factor * sums[c]
    }
  }
}

/** L · X for X [cols, k]: the left reflections applied, last one first; [rows, k]. */
export function applyLeft(factors: Bidiagonal, x: Float64Array, k: number): Float64Array {
  const { rows, cols, vectors, leftTau } = factors
  const result = new Float64Array(rows * k)
  result.set(x)
  const sums = new Float64Array(k)
  for (let j = cols - 1; j >= 0; j--) {
    if (leftTau[j] !== 0) {
      reflectRows(result, k, j, rows, leftTau[j], i => vectors[i * cols + j], sums)
    }
  }
  return result
}

/** R · X for X [cols, k]: the right reflections applied, last one first. */
export function applyRightVectors(factors: Bidiagonal, x: Float64Array, k: number): Float64Array {
  const { cols, vectors, rightTau } = factors
  const result = x.slice()
  const sums = new Float64Array(k)
  for (let j = cols - 2; j >= 0; j--) {
    if (rightTau[j] !== 0) {
      reflectRows(result, k, j + 1, cols, rightTau[j], i => vectors[j * cols + i], sums)
    }
  }
  return result
}

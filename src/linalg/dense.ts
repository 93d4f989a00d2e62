// Row-major f64 matrices as plain arrays, and the two operations that the factorizations share:
// transpose [M, N] -> [N, M] and the product C [M, N] = A [M, K] · B [K, N].

import { LowrankError } from '../core/errors.ts'

/** Refuses an array that is not a matrix of these sizes, or that holds NaN or infinity. */
export function checkMatrix(where: string, a: Float64Array, rows: number, cols: number): void {
  const whole = Number.isInteger(rows) && Number.isInteger(cols) && rows >= 0 && cols >= 0
  if (!whole || a.length !== rows * cols) {
    throw new LowrankError(
      'shape',
      `${where}: expected ${rows} × ${cols} numbers, got ${a.length} (row-major, one array)`,
    )
  }
  const bad = a.findIndex(value => !Number.isFinite(value))
  if (bad >= 0) {
    const place = `row ${Math.floor(bad / cols)}, column ${bad % cols}`
    throw new LowrankError(
      'numeric',
      `${where}: expected finite numbers, got ${a[bad]} at ${place}`,
    )
  }
}

/** The transpose of a row-major matrix: [rows, cols] becomes [cols, rows]. */
export function transpose(a: Float64Array, rows: number, cols: number): Float64Array {
  const transposed = new Float64Array(a.length)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < cols; j++) {
      transposed[j * rows + i] = a[i * cols + j]
    }
  }
  return transposed
}

/**
 * The product of two row-major matrices: a [m, k] · b [k, n] gives [m, n].
 *
 * The k products of an element are added in ascending order.
 *
 * @example
 * ```ts
 * import { multiply } from 'lowrank/linalg'
 *
 * const column = multiply(new Float64Array([1, 2, 3, 4]), new Float64Array([1, 1]), 2, 2, 1)
 * console.log(column) // Float64Array [3, 7]
 * ```
 */
export function multiply(
  a: Float64Array,
  b: Float64Array,
  m: number,
  k: number,
  n: number,
): Float64Array {
  const product = new Float64Array(m * n)
  for (let i = 0; i < m; i++) {
    for (let p = 0; p < k; p++) {
      const factor = a[i * k + p]
      const from = p * n
      const to = i * n
      for (let j = 0; j < n; j++) {
        product[to + j] += factor * b[from + j]
      }
    }
  }
  return product
}

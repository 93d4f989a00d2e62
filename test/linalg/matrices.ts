// Random matrices and the measures by which a factorization is judged.
// Rounding: a backward stable factorization of a matrix with k = min(rows, cols) errs by a modest
// multiple of √(rows · cols) · ε times the largest singular value (Higham, Accuracy and Stability,
// chapters 19 and 20); `bound` takes 8 for the multiple.

import type { Random } from '../../src/core/rng.ts'
import { multiply, transpose } from '../../src/linalg/index.ts'

export const EPSILON: number = 2 ** -52

export function bound(rows: number, cols: number): number {
  return 8 * EPSILON * Math.sqrt(Math.max(rows * cols, 1))
}

export function randomMatrix(random: Random, rows: number, cols: number): Float64Array {
  return Float64Array.from({ length: rows * cols }, () => 2 * random.uniform() - 1)
}

/** A matrix of at most this rank: a product of two random factors. */
export function matrixOfRank(
  random: Random,
  rows: number,
  cols: number,
  rank: number,
): Float64Array {
  const left = randomMatrix(random, rows, rank)
  return multiply(left, randomMatrix(random, rank, cols), rows, rank, cols)
}

export function maxAbs(a: Float64Array): number {
  return a.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
}

export function maxDifference(a: Float64Array, b: Float64Array): number {
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0)
}

/** How far the columns of `q` [rows, k] are from orthonormal: max |QᵀQ − I|. */
export function orthogonalityError(q: Float64Array, rows: number, k: number): number {
  const gram = multiply(transpose(q, rows, k), q, k, rows, k)
  for (let i = 0; i < k; i++) {
    gram[i * k + i] -= 1
  }
  return maxAbs(gram)
}

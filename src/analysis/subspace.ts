// Do two adapters look in the same directions? φ(A₁, A₂, i, j) = ‖U₁ᵀ·U₂‖²_F / min(i, j) in [0, 1],
// where the columns of U₁ [d, i] and U₂ [d, j] are the first right singular vectors of A₁ [R₁, d]
// and A₂ [R₂, d]. Two random subspaces of these sizes have, on average, i·j/d / min(i, j) =
// max(i, j) / d.
// Source: Hu et al. 2021 (arXiv 2106.09685), section 7.2, equation 4.

import { LowrankError } from '../core/errors.ts'
import { formatShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { multiply, transpose } from '../linalg/dense.ts'
import { svd } from '../linalg/svd.ts'
import { numericalRank, sumOfSquares } from './update.ts'

export interface SubspaceSimilarity {
  /** φ: 0 for orthogonal subspaces, 1 if the smaller one lies in the larger one. */
  readonly similarity: number
  /** What two random subspaces of these sizes have on average. */
  readonly random: number
}

/** The first `count` right singular vectors of A [R, d] as rows [count, d]. */
async function leadingRows(A: Tensor, count: number, name: string): Promise<Float64Array> {
  const [R, d] = A.shape
  const { s, vt } = svd(Float64Array.from(await A.data()), R, d)
  const rank = numericalRank(s, R, d)
  if (!Number.isInteger(count) || count < 1 || count > rank) {
    throw new LowrankError(
      'argument',
      `subspaceSimilarity: ${name} is ${formatShape(A.shape)} of rank ${rank}: expected 1 to ` +
        `${rank} of its directions, got ${count}`,
    )
  }
  return vt.subarray(0, count * d)
}

/**
 * The similarity of the subspaces that the first `i` right singular vectors of `A1` [R₁, d] and
 * the first `j` of `A2` [R₂, d] span. Source: Hu et al. 2021, equation 4.
 *
 * Throws `shape` if the two are not matrices of one width, `argument` for more directions than a
 * matrix has.
 *
 * @example
 * ```ts
 * import { tensor } from 'lowrank'
 * import { subspaceSimilarity } from 'lowrank/analysis'
 *
 * const a1 = tensor([1, 0, 0, 0], [1, 4])
 * const a2 = tensor([0, 2, 0, 0, 1, 0, 0, 0], [2, 4])
 * console.log(await subspaceSimilarity(a1, a2, 1, 1)) // { similarity: 0, random: 0.25 }
 * console.log(await subspaceSimilarity(a1, a2, 1, 2)) // { similarity: 1, random: 0.5 }
 * ```
 */
export async function subspaceSimilarity(
  A1: Tensor,
  A2: Tensor,
  i: number,
  j: number,
): Promise<SubspaceSimilarity> {
  const d = A1.shape[1]
  if (A1.shape.length !== 2 || A2.shape.length !== 2 || A2.shape[1] !== d) {
    throw new LowrankError(
      'shape',
      'subspaceSimilarity: expected two matrices of the same width, got ' +
        `${formatShape(A1.shape)} and ${formatShape(A2.shape)}`,
    )
  }
  const first = await leadingRows(A1, i, 'A1')
  const second = await leadingRows(A2, j, 'A2')
  const overlap = sumOfSquares(multiply(first, transpose(second, j, d), i, d, j))
  return { similarity: overlap / Math.min(i, j), random: Math.max(i, j) / d }
}

/** φ(i, j) for the first directions of two matrices: row i − 1, column j − 1. */
export interface SubspaceSimilarities {
  readonly similarity: readonly (readonly number[])[]
  /** What random subspaces have on average. */
  readonly random: readonly (readonly number[])[]
}

/** The rank of A [R, d], and its right singular vectors as rows. */
function directions(A: Float64Array, d: number): { count: number; rows: Float64Array } {
  const R = A.length / d
  const { s, vt } = svd(A, R, d)
  return { count: numericalRank(s, R, d), rows: vt }
}

/**
 * `subspaceSimilarity` for every i and j up to `most`, or as many directions as `A1` [R₁, d] and `A2`
 * [R₂, d] have, from one decomposition of each. Axes after the first are read as one.
 *
 * Throws `shape` for unequal widths. Source: Hu et al. 2021, section 7.2 and figure 3.
 *
 * @example
 * ```ts
 * import { tensor } from 'lowrank'
 * import { subspaceSimilarities } from 'lowrank/analysis'
 *
 * const a1 = tensor([1, 0, 0, 0], [1, 4])
 * const a2 = tensor([0, 2, 0, 0, 1, 0, 0, 0], [2, 4])
 * console.log((await subspaceSimilarities(a1, a2)).similarity) // [[0, 1]]
 * ```
 */
export async function subspaceSimilarities(
  A1: Tensor,
  A2: Tensor,
  most: number = 8,
): Promise<SubspaceSimilarities> {
  const d = A1.size / A1.shape[0]
  if (A2.size / A2.shape[0] !== d) {
    throw new LowrankError(
      'shape',
      'subspaceSimilarities: expected two matrices of the same width, got ' +
        `${formatShape(A1.shape)} and ${formatShape(A2.shape)}`,
    )
  }
  const first = directions(Float64Array.from(await A1.data()), d)
  const second = directions(Float64Array.from(await A2.data()), d)
  const rows = Math.min(most, first.count)
  const cols = Math.min(most, second.count)
  const overlap = multiply(
    first.rows.subarray(0, rows * d),
    transpose(second.rows.subarray(0, cols * d), cols, d),
    rows,
    d,
    cols,
  )
  const table = (value: (i: number, j: number) => number): number[][] =>
    Array.from({ length: rows }, (_, i) => Array.from({ length: cols }, (_, j) => value(i, j)))
  return {
    similarity: table((i, j) => blockSum(overlap, cols, i, j) / (Math.min(i, j) + 1)),
    random: table((i, j) => (Math.max(i, j) + 1) / d),
  }
}

/** The sum of squares of the entries up to row i and column j. */
function blockSum(values: Float64Array, cols: number, i: number, j: number): number {
  let sum = 0
  for (let row = 0; row <= i; row++) {
    for (let col = 0; col <= j; col++) {
      sum += values[row * cols + col] * values[row * cols + col]
    }
  }
  return sum
}

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

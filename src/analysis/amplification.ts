// Does an adapter amplify what W already does, or add something new? ‖ΔW‖_F / ‖Uᵀ·W·V‖_F, where
// ΔW = s·B·A = U·diag(σ)·Vᵀ, U [O, k], V [I, k], over the k directions of ΔW. The denominator is
// what W does within those directions: a large factor means that it did little there before.
// Source: Hu et al. 2021 (arXiv 2106.09685), section 7.3 and table 7 (their Vᵀ is our V).

import { LowrankError } from '../core/errors.ts'
import { scoped } from '../core/scope.ts'
import type { Tensor } from '../core/tensor.ts'
import { multiply, transpose } from '../linalg/dense.ts'
import type { AdapterSelection } from '../lora/active.ts'
import type { LoraModule } from '../lora/module.ts'
import { chosenStates } from './change.ts'
import { frobenius, numericalRank, svdOfUpdate } from './update.ts'

export interface Amplification {
  /** ‖ΔW‖_F / ‖Uᵀ·W·V‖_F. */
  readonly factor: number
  /** ‖ΔW‖_F. */
  readonly deltaNorm: number
  /** ‖Uᵀ·W·V‖_F. */
  readonly projectedNorm: number
  /** How many directions ΔW has. */
  readonly rank: number
}

/** Uᵀ·W [k, cols], from the first k columns of u [rows, width], without an f64 copy of W. */
async function projectRows(
  weight: Tensor,
  u: Float64Array,
  width: number,
  k: number,
): Promise<Float64Array> {
  const [rows, cols] = weight.shape
  const data = await weight.data()
  const projected = new Float64Array(k * cols)
  for (let row = 0; row < rows; row++) {
    for (let direction = 0; direction < k; direction++) {
      const share = u[row * width + direction]
      for (let col = 0; col < cols; col++) {
        projected[direction * cols + col] += share * data[row * cols + col]
      }
    }
  }
  return projected
}

/**
 * How strongly an adapter amplifies directions that the weight of its layer does not emphasize.
 *
 * Throws `target` for an adapter that the layer does not have, `argument` if none is active, and
 * `numeric` if the update is zero (it has no directions) or not finite. Source: Hu et al. 2021,
 * section 7.3.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { amplification } from 'lowrank/analysis'
 *
 * const layer = attach(new Linear(16, 8), { r: 2, initLoraWeights: false })
 * const { factor, rank } = await amplification(layer)
 * console.log(factor > 0, rank) // true 2
 * ```
 */
export async function amplification(
  layer: LoraModule,
  adapter?: AdapterSelection,
): Promise<Amplification> {
  const { weight, outFeatures, inFeatures } = layer.base
  const states = chosenStates('amplification', layer, adapter)
  const { u, s, vt, k } = await svdOfUpdate('amplification', states)
  const rank = numericalRank(s, outFeatures, inFeatures)
  if (rank === 0) {
    throw new LowrankError(
      'numeric',
      'amplification: expected an update with a direction, got s·B·A = 0 (train the adapter first)',
    )
  }
  // As the matrix [out, in] that it is, whatever shape the layer stores.
  const matrix = scoped(() => layer.base.oriented(weight))
  const rows = await projectRows(matrix, u, k, rank)
  const v = transpose(vt.subarray(0, rank * inFeatures), rank, inFeatures)
  const projectedNorm = frobenius(multiply(rows, v, rank, inFeatures, rank))
  const norm = frobenius(s)
  return { factor: norm / projectedNorm, deltaNorm: norm, projectedNorm, rank }
}

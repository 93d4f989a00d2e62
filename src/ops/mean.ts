// Mean over any axes: y = (Σ x) / n for the n elements of a sum, dx = dy / n in every place.

import type { Tensor } from '../core/tensor.ts'
import type { ReductionOptions } from './axes.ts'
import { defineSum, type SumOp } from './sum.ts'

export const meanOp: SumOp = /* @__PURE__ */ defineSum('mean', count => count)

/**
 * The mean over `dim` (one axis, a list, or all), of no elements NaN. Throws an `argument` error for an
 * axis that does not exist.
 *
 * @example
 * ```ts
 * import { mean, tensor } from 'lowrank'
 *
 * console.log(mean(tensor([1, 2, 3, 6], [2, 2]), { dim: 1 }).dataSync()) // Float32Array [1.5, 4.5]
 * ```
 */
export function mean(x: Tensor, options: ReductionOptions = {}): Tensor {
  return meanOp([x], options)
}

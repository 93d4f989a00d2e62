// Euclidean norm over any axes: y = √(Σ x²); dx = dy·x / y, 0 where y is 0.

import type { Tensor } from '../core/tensor.ts'
import type { ReductionOptions } from './axes.ts'
import { defineSquares, type SquaresOp } from './sum_squares.ts'

export const normOp: SquaresOp = /* @__PURE__ */ defineSquares('norm', {
  variance: false,
  root: true,
})

/**
 * The Euclidean norm over `dim` (one axis, a list, or all): the Frobenius norm of a matrix where both
 * axes are named.
 *
 * @example
 * ```ts
 * import { norm, tensor } from 'lowrank'
 *
 * console.log(norm(tensor([3, 4], [2])).itemSync()) // 5
 * ```
 */
export function norm(x: Tensor, options: ReductionOptions = {}): Tensor {
  return normOp([x], options)
}

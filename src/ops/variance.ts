// Variance over any axes: y = Σ (x − m)² / (n − correction), m the mean of the n elements;
// dx = dy·2 (x − m) / (n − correction).

import type { Tensor } from '../core/tensor.ts'
import { defineSquares, type SquaresOp, type SquaresOptions } from './sum_squares.ts'

export const varianceOp: SquaresOp = /* @__PURE__ */ defineSquares('variance', {
  variance: true,
  root: false,
})

/**
 * The variance over `dim` (one axis, a list, or all), with n − `correction` as the divisor: 1 is the
 * unbiased estimate, 0 the plain mean of squares.
 *
 * @example
 * ```ts
 * import { tensor, variance } from 'lowrank'
 *
 * console.log(variance(tensor([1, 2, 3, 4, 5], [5]), { correction: 0 }).itemSync()) // 2
 * ```
 */
export function variance(x: Tensor, options: SquaresOptions = {}): Tensor {
  return varianceOp([x], options)
}

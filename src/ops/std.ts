// Standard deviation over any axes: y = √(Σ (x − m)² / (n − correction)), m the mean of the n elements;
// dx = dy·(x − m) / (y (n − correction)), 0 where y is 0.

import type { Tensor } from '../core/tensor.ts'
import { defineSquares, type SquaresOp, type SquaresOptions } from './sum_squares.ts'

export const stdOp: SquaresOp = /* @__PURE__ */ defineSquares('std', { variance: true, root: true })

/**
 * The standard deviation over `dim` (one axis, a list, or all), with n − `correction` as the divisor.
 *
 * @example
 * ```ts
 * import { std, tensor } from 'lowrank'
 *
 * console.log(std(tensor([1, 3, 1, 3], [4]), { correction: 0 }).itemSync()) // 1
 * ```
 */
export function std(x: Tensor, options: SquaresOptions = {}): Tensor {
  return stdOp([x], options)
}

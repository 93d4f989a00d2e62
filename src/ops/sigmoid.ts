// y = 1 / (1 + e^−x); dx = dy y (1 − y).

import { sigmoid as logistic } from '../core/math.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

export const sigmoidOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'sigmoid',
  formula: logistic,
  keeps: 'y',
  slope: y => y * (1 - y),
})

/**
 * The logistic function 1 / (1 + e^−x), element by element; at most 2 units in the last place off.
 *
 * @example
 * ```ts
 * import { sigmoid, tensor } from 'lowrank'
 *
 * console.log(sigmoid(tensor([0, 100], [2])).dataSync()) // Float32Array [0.5, 1]
 * ```
 */
export function sigmoid<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return sigmoidOp([x], {}) as Tensor<S>
}

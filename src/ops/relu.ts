// y = max(x, 0), NaN where x is NaN; dx = dy where x > 0, else 0.

import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

export const reluOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'relu',
  formula: x => Math.max(x, 0),
  keeps: 'y',
  slope: y => (y > 0 ? 1 : 0),
})

/**
 * max(x, 0), element by element.
 *
 * @example
 * ```ts
 * import { relu, tensor } from 'lowrank'
 *
 * console.log(relu(tensor([-3, 2], [2])).dataSync()) // Float32Array [0, 2]
 * ```
 */
export function relu<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return reluOp([x], {}) as Tensor<S>
}

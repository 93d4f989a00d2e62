// y = √x; dx = dy / 2y.

import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

export const sqrtOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'sqrt',
  formula: x => Math.sqrt(x),
  keeps: 'y',
  slope: y => 0.5 / y,
})

/**
 * The square root, element by element; NaN below 0.
 *
 * @example
 * ```ts
 * import { sqrt, tensor } from 'lowrank'
 *
 * console.log(sqrt(tensor([4, 9], [2])).dataSync()) // Float32Array [2, 3]
 * ```
 */
export function sqrt<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return sqrtOp([x], {}) as Tensor<S>
}

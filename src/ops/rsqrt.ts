// y = 1 / √x; dx = −dy y³ / 2.

import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

export const rsqrtOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'rsqrt',
  formula: x => 1 / Math.sqrt(x),
  keeps: 'y',
  slope: y => -0.5 * y * y * y,
})

/**
 * The reciprocal of the square root, element by element; Infinity at 0, NaN below.
 *
 * @example
 * ```ts
 * import { rsqrt, tensor } from 'lowrank'
 *
 * console.log(rsqrt(tensor([4, 16], [2])).dataSync()) // Float32Array [0.5, 0.25]
 * ```
 */
export function rsqrt<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return rsqrtOp([x], {}) as Tensor<S>
}

// y = |x|; dx = dy sign(x), which is 0 at 0.

import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

export const absOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'abs',
  formula: x => Math.abs(x),
  keeps: 'x',
  slope: x => Math.sign(x),
})

/**
 * |x|, element by element.
 *
 * @example
 * ```ts
 * import { abs, tensor } from 'lowrank'
 *
 * console.log(abs(tensor([-3, 2], [2])).dataSync()) // Float32Array [3, 2]
 * ```
 */
export function abs<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return absOp([x], {}) as Tensor<S>
}

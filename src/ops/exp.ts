// y = e^x; dx = dy y.

import { exp as exponential } from '../core/math.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

export const expOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'exp',
  formula: exponential,
  keeps: 'y',
  slope: y => y,
})

/**
 * e^x, element by element; at most 1 unit in the last place off.
 *
 * @example
 * ```ts
 * import { exp, tensor } from 'lowrank'
 *
 * console.log(exp(tensor([0], [1])).dataSync()) // Float32Array [1]
 * ```
 */
export function exp<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return expOp([x], {}) as Tensor<S>
}

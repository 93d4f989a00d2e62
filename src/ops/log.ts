// y = log x, the natural logarithm; dx = dy / x.

import { log as logarithm } from '../core/math.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

export const logOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'log',
  formula: logarithm,
  keeps: 'x',
  slope: x => 1 / x,
})

/**
 * The natural logarithm, element by element: −Infinity at 0, NaN below; at most 1 unit in the last place
 * off.
 *
 * @example
 * ```ts
 * import { log, tensor } from 'lowrank'
 *
 * console.log(log(tensor([1], [1])).dataSync()) // Float32Array [0]
 * ```
 */
export function log<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return logOp([x], {}) as Tensor<S>
}

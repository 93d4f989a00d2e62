// y = tanh x; dx = dy (1 − y²).

import { tanh as hyperbolicTangent } from '../core/math.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

export const tanhOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'tanh',
  formula: hyperbolicTangent,
  keeps: 'y',
  slope: y => 1 - y * y,
})

/**
 * The hyperbolic tangent, element by element; at most 2 units in the last place off.
 *
 * @example
 * ```ts
 * import { tanh, tensor } from 'lowrank'
 *
 * console.log(tanh(tensor([0, 100], [2])).dataSync()) // Float32Array [0, 1]
 * ```
 */
export function tanh<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return tanhOp([x], {}) as Tensor<S>
}

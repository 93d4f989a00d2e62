// y = erf x = 2/√π ∫₀ˣ e^(−t²) dt; dx = dy 2/√π e^(−x²).

import { erf as errorFunction, exp } from '../core/math.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

/** 2 / √π */
const SLOPE_AT_ZERO = 1.1283791670955126

export const erfOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'erf',
  formula: errorFunction,
  keeps: 'x',
  slope: x => SLOPE_AT_ZERO * exp(-x * x),
})

/**
 * The error function, element by element; at most 2 units in the last place off.
 *
 * @example
 * ```ts
 * import { erf, tensor } from 'lowrank'
 *
 * console.log(erf(tensor([0, 10], [2])).dataSync()) // Float32Array [0, 1]
 * ```
 */
export function erf<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return erfOp([x], {}) as Tensor<S>
}

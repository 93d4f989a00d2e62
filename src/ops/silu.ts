// y = x σ(x), σ(x) = 1 / (1 + e^−x); dx = dy σ(x) (1 + x (1 − σ(x))).
// Source: Elfwing, Uchibe and Doya (arXiv 1702.03118); also called swish.

import { sigmoid } from '../core/math.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

/** The derivative at x. */
export function siluSlope(x: number): number {
  const s = sigmoid(x)
  return s * (1 + x * (1 - s))
}

export const siluOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'silu',
  formula: x => x * sigmoid(x),
  keeps: 'x',
  slope: siluSlope,
})

/**
 * x / (1 + e^−x), element by element.
 *
 * @example
 * ```ts
 * import { silu, tensor } from 'lowrank'
 *
 * console.log(silu(tensor([0, 100], [2])).dataSync()) // Float32Array [0, 100]
 * ```
 */
export function silu<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return siluOp([x], {}) as Tensor<S>
}

// GELU (Hendrycks and Gimpel, arXiv 1606.08415): x Φ(x), Φ the normal distribution, and its
// approximation by tanh.
//
//   none   y = x Φ(x), Φ(x) = (1 + erf(x / √2)) / 2       dx = dy (Φ(x) + x φ(x)), φ = e^(−x²/2) / √(2π)
//   tanh   y = x (1 + t) / 2                              dx = dy ((1 + t) / 2 + x (1 − t²) u' / 2)
//          t = tanh u, u = √(2/π) (x + 0.044715 x³)       u' = √(2/π) (1 + 3 · 0.044715 x²)

import { checkChoice } from '../core/errors.ts'
import { erf, exp, tanh } from '../core/math.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { defineUnary, type UnaryOp } from './unary.ts'

const SQRT_HALF = Math.SQRT1_2
/** 1 / √(2π) */
const DENSITY_AT_ZERO = 0.3989422804014327
/** √(2 / π) */
const SCALE = 0.7978845608028654
const CUBIC = 0.044715

function distribution(x: number): number {
  return 0.5 * (1 + erf(x * SQRT_HALF))
}

function density(x: number): number {
  return DENSITY_AT_ZERO * exp(-0.5 * x * x)
}

function innerTanh(x: number): number {
  return tanh(SCALE * x * (1 + CUBIC * x * x))
}

function tanhSlope(x: number): number {
  const t = innerTanh(x)
  const inner = SCALE * (1 + 3 * CUBIC * x * x)
  return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * inner
}

export const geluOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'gelu',
  formula: x => x * distribution(x),
  keeps: 'x',
  slope: x => distribution(x) + x * density(x),
})

export const geluTanhOp: UnaryOp = /* @__PURE__ */ defineUnary({
  name: 'gelu_tanh',
  formula: x => 0.5 * x * (1 + innerTanh(x)),
  keeps: 'x',
  slope: tanhSlope,
})

export interface GeluOptions {
  /** `tanh` for the approximation that GPT-2 uses; `none`, the default, for the exact one. */
  readonly approximate?: 'none' | 'tanh'
}

/**
 * GELU, element by element.
 *
 * @example
 * ```ts
 * import { gelu, tensor } from 'lowrank'
 *
 * console.log(gelu(tensor([0, 100], [2]), { approximate: 'tanh' }).dataSync()) // Float32Array [0, 100]
 * ```
 */
export function gelu<S extends Shape>(x: Tensor<S>, options: GeluOptions = {}): Tensor<S> {
  const { approximate = 'none' } = options
  checkChoice('gelu: approximate', approximate, ['none', 'tanh'])
  const op = approximate === 'tanh' ? geluTanhOp : geluOp
  return op([x], {}) as Tensor<S>
}

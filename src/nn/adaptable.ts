// What a layer says about itself so that low-rank updates can run beside it. Such a layer is linear in
// a matrix W [out, in], which it may store in another shape:
//
//   y = W∘x + b, and with updates A [r, in], B [out, r]:  y = W∘x + b + Σ s·B∘(A∘x)
//
// The layer knows nothing of who asks: what wraps it needs no code for single kinds of layers.

import type { Parameter } from '../core/parameter.ts'
import type { Draw } from '../core/random_state.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import type { LowRank } from '../ops/lora_linear.ts'
import type { Module } from './module.ts'

/** The shapes of the two factors of an update. */
export interface FactorShapes {
  readonly A: Shape
  readonly B: Shape
}

/** Elements of two factors, made on first use. */
export interface FactorStart {
  readonly A: () => ArrayLike<number>
  readonly B: () => ArrayLike<number>
}

/** A layer that low-rank updates can run beside. */
export interface Adaptable extends Module {
  /** What sort of layer it is: `linear`, `conv1d`, `embedding`, `conv2d`, or one of your own. */
  readonly kind: string
  /** The width of A as a matrix. */
  readonly inFeatures: number
  /** The height of B as a matrix. */
  readonly outFeatures: number
  weight: Parameter
  bias?: Parameter | undefined
  /** How a vector [out] is shaped to be multiplied into y; [out] if absent. */
  readonly perOutput?: Shape
  /** Why it cannot take an update of rank r, or one with a bias, as the end of a sentence. */
  refusal?(r: number, biased: boolean): string | undefined
  factorShapes(r: number): FactorShapes
  /** A start for factors whose product is zero, if the layer wants one of its own. */
  factorStart?(r: number, draw: Draw): FactorStart
  /**
   * y with the given weight and bias in place of the layer's own, either of them perhaps absent, plus
   * the updates. The `rows` of an update are those of the first axis of x.
   */
  updated(
    x: Tensor,
    updates: readonly LowRank[],
    weight: Tensor | undefined,
    bias: Tensor | undefined,
  ): Tensor
  /** A·Wᵀ [r, out] for A [r, in] and a weight in the layer's shape. */
  project(A: Tensor, weight: Tensor): Tensor
  /** A weight in the layer's shape as a matrix [out, in]. */
  oriented(weight: Tensor): Tensor
  /** A matrix [out, in] in the shape of the layer's weight. */
  arranged(matrix: Tensor): Tensor
  /** The same layer around another weight and bias. */
  like(weight: Parameter, bias: Parameter | undefined): Adaptable
}

/** Whether low-rank updates can run beside a module. */
export function isAdaptable(module: Module): module is Adaptable {
  return typeof (module as Partial<Adaptable>).updated === 'function'
}

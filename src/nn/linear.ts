// y = x·Wᵀ + b: x [..., I], W [O, I], b [O]. W and b start uniform in ±1/√I, which is what PyTorch's
// Kaiming initialisation with a = √5 comes to (He et al. 2015, arXiv 1502.01852).

import type { Backend } from '../core/backend.ts'
import type { DType } from '../core/dtype.ts'
import { Parameter } from '../core/parameter.ts'
import { nextDraw } from '../core/random_state.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { type LowRank, loraLinear } from '../ops/lora_linear.ts'
import type { Adaptable, FactorShapes } from './adaptable.ts'
import { Module } from './module.ts'
import { uniforms } from './uniform.ts'

export interface LinearOptions {
  /** Whether there is a bias; true if absent. */
  readonly bias?: boolean
  /** Half precision is frozen from the start. */
  readonly dtype?: DType
  /** The weight, in place of a fresh one that is drawn. */
  readonly weight?: Parameter
  readonly backend?: Backend
}

/** `count` numbers uniform in ±bound, from the next stream of the global generator. */
export function uniformDraw(count: number, bound: number): () => Float32Array {
  const draw = nextDraw()
  return () => uniforms(draw, count, bound)
}

/**
 * A linear layer.
 *
 * @example
 * ```ts
 * import { Linear, tensor } from 'lowrank'
 *
 * const layer = new Linear(3, 2)
 * console.log(layer.forward(tensor([1, 2, 3], [1, 3])).shape) // [1, 2]
 * ```
 */
export class Linear extends Module implements Adaptable {
  readonly inFeatures: number
  readonly outFeatures: number
  weight: Parameter
  bias: Parameter | undefined

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super()
    const bound = inFeatures > 0 ? 1 / Math.sqrt(inFeatures) : 0
    this.inFeatures = inFeatures
    this.outFeatures = outFeatures
    const count = outFeatures * inFeatures
    this.weight =
      options.weight ?? new Parameter(uniformDraw(count, bound), [outFeatures, inFeatures], options)
    this.bias =
      options.bias === false
        ? undefined
        : new Parameter(uniformDraw(outFeatures, bound), [outFeatures], options)
  }

  get kind(): string {
    return 'linear'
  }

  forward(x: Tensor): Tensor<Shape> {
    return this.updated(x, [], this.weight, this.bias)
  }

  factorShapes(r: number): FactorShapes {
    return { A: [r, this.inFeatures], B: [this.outFeatures, r] }
  }

  updated(
    x: Tensor,
    updates: readonly LowRank[],
    weight: Tensor | undefined,
    bias: Tensor | undefined,
  ): Tensor {
    return loraLinear(x, weight, bias, updates)
  }

  project(A: Tensor, weight: Tensor): Tensor {
    return loraLinear(A, weight, undefined, [])
  }

  oriented(weight: Tensor): Tensor {
    return weight
  }

  arranged(matrix: Tensor): Tensor {
    return matrix
  }

  like(weight: Parameter, bias: Parameter | undefined): Linear {
    const layer = new Linear(this.inFeatures, this.outFeatures, { weight, bias: false })
    layer.bias = bias
    return layer
  }
}

// GPT-2's linear layer, y = x·W + b, whose weight is stored the other way round: x [..., I], W [I, O],
// b [O]. Its name is transformers' (`pytorch_utils.Conv1D`); it convolves nothing. W starts normal with
// standard deviation 0.02, b zero.

import { Parameter } from '../core/parameter.ts'
import { nextDraw } from '../core/random_state.ts'
import { Random } from '../core/rng.ts'
import { countOf, type Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { type LowRank, loraLinear } from '../ops/lora_linear.ts'
import { transpose } from '../ops/transpose.ts'
import type { Adaptable, FactorShapes } from './adaptable.ts'
import type { LinearOptions } from './linear.ts'
import { Module } from './module.ts'

const DEVIATION = 0.02

function normalDraw(count: number): () => Float32Array {
  const { seed, stream } = nextDraw()
  return () => {
    const random = new Random(seed, stream)
    return Float32Array.from({ length: count }, () => random.normal() * DEVIATION)
  }
}

/**
 * A linear layer with its weight stored as [in, out].
 *
 * @example
 * ```ts
 * import { Conv1D, tensor } from 'lowrank'
 *
 * const layer = new Conv1D(3, 2)
 * console.log(layer.weight.shape, layer.forward(tensor([1, 2, 3], [1, 3])).shape) // [3, 2] [1, 2]
 * ```
 */
export class Conv1D extends Module implements Adaptable {
  readonly inFeatures: number
  readonly outFeatures: number
  weight: Parameter
  bias: Parameter | undefined

  constructor(inFeatures: number, outFeatures: number, options: LinearOptions = {}) {
    super()
    this.inFeatures = inFeatures
    this.outFeatures = outFeatures
    const shape = [inFeatures, outFeatures]
    this.weight = options.weight ?? new Parameter(normalDraw(countOf(shape)), shape, options)
    this.bias =
      options.bias === false
        ? undefined
        : new Parameter(new Float32Array(outFeatures), [outFeatures], options)
  }

  get kind(): string {
    return 'conv1d'
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
    return loraLinear(x, weight, bias, updates, { transposed: true })
  }

  project(A: Tensor, weight: Tensor): Tensor {
    return loraLinear(A, weight, undefined, [], { transposed: true })
  }

  oriented(weight: Tensor): Tensor {
    return transpose(weight, 0, 1)
  }

  arranged(matrix: Tensor): Tensor {
    return transpose(matrix, 0, 1)
  }

  like(weight: Parameter, bias: Parameter | undefined): Conv1D {
    const layer = new Conv1D(this.inFeatures, this.outFeatures, { weight, bias: false })
    layer.bias = bias
    return layer
  }
}

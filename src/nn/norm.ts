// Normalisation layers with a trained scale: RMSNorm (Zhang and Sennrich 2019, arXiv 1910.07467) and
// LayerNorm (Ba, Kiros, Hinton 2016, arXiv 1607.06450).

import { Parameter } from '../core/parameter.ts'
import type { Tensor, TensorOptions } from '../core/tensor.ts'
import { layerNorm } from '../ops/layer_norm.ts'
import { rmsNorm } from '../ops/rms_norm.ts'
import { Module } from './module.ts'

export interface NormOptions extends TensorOptions {
  /** Added under the square root. */
  readonly eps?: number
}

const ones = (count: number) => (): Float32Array => new Float32Array(count).fill(1)

/**
 * x / √(mean(x²) + eps) · weight, over the last axis of x [..., C].
 *
 * @example
 * ```ts
 * import { RMSNorm, tensor } from 'lowrank'
 *
 * console.log(new RMSNorm(2).forward(tensor([3, 4], [1, 2])).shape) // [1, 2]
 * ```
 */
export class RMSNorm extends Module {
  readonly eps: number
  weight: Parameter

  constructor(size: number, options: NormOptions = {}) {
    super()
    this.eps = options.eps ?? 1e-6
    this.weight = new Parameter(ones(size), [size], options)
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, { eps: this.eps })
  }
}

/**
 * (x − mean) / √(variance + eps) · weight + bias, over the last axis of x [..., C].
 *
 * @example
 * ```ts
 * import { LayerNorm, tensor } from 'lowrank'
 *
 * console.log(new LayerNorm(2).forward(tensor([3, 4], [1, 2])).shape) // [1, 2]
 * ```
 */
export class LayerNorm extends Module {
  readonly eps: number
  weight: Parameter
  bias: Parameter

  constructor(size: number, options: NormOptions = {}) {
    super()
    this.eps = options.eps ?? 1e-5
    this.weight = new Parameter(ones(size), [size], options)
    this.bias = new Parameter(() => new Float32Array(size), [size], options)
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, { eps: this.eps })
  }
}

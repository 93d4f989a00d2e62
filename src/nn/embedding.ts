// Rows of a table: y[..., C] = W[index[...]], W [V, C], normal at the start as in PyTorch.

import { Parameter } from '../core/parameter.ts'
import { nextDraw } from '../core/random_state.ts'
import { Random } from '../core/rng.ts'
import type { Tensor, TensorOptions } from '../core/tensor.ts'
import { embedding } from '../ops/embedding.ts'
import { Module } from './module.ts'

export interface EmbeddingModuleOptions extends TensorOptions {
  /** The row whose gradient stays zero. */
  readonly paddingIdx?: number
}

/**
 * An embedding table.
 *
 * @example
 * ```ts
 * import { Embedding, tensor } from 'lowrank'
 *
 * const table = new Embedding(10, 4)
 * console.log(table.forward(tensor([1, 9], [2], { dtype: 'int32' })).shape) // [2, 4]
 * ```
 */
export class Embedding extends Module {
  readonly numEmbeddings: number
  readonly embeddingDim: number
  readonly paddingIdx: number | undefined
  weight: Parameter

  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingModuleOptions = {}) {
    super()
    this.numEmbeddings = numEmbeddings
    this.embeddingDim = embeddingDim
    this.paddingIdx = options.paddingIdx
    const { seed, stream } = nextDraw()
    const draw = (): Float32Array => {
      const random = new Random(seed, stream)
      return Float32Array.from({ length: numEmbeddings * embeddingDim }, () => random.normal())
    }
    this.weight = new Parameter(draw, [numEmbeddings, embeddingDim], options)
  }

  forward(index: Tensor): Tensor {
    return embedding(index, this.weight, { paddingIdx: this.paddingIdx })
  }
}

// Rows of a table: y[..., C] = W[index[...]], W [V, C], normal at the start as in PyTorch. As a matrix
// [out, in] the table is Wᵀ [C, V]: an update takes a column of A [R, V] for each index, then B [C, R].

import { Parameter } from '../core/parameter.ts'
import { type Draw, nextDraw } from '../core/random_state.ts'
import { Random } from '../core/rng.ts'
import { countOf } from '../core/shape.ts'
import { type Tensor, type TensorOptions, tensor } from '../core/tensor.ts'
import { add } from '../ops/add.ts'
import { embedding } from '../ops/embedding.ts'
import { type LowRank, loraLinear } from '../ops/lora_linear.ts'
import { mul } from '../ops/mul.ts'
import { permuteOp } from '../ops/permute.ts'
import type { Adaptable, FactorShapes, FactorStart } from './adaptable.ts'
import { Module } from './module.ts'

export interface EmbeddingModuleOptions extends TensorOptions {
  /** The row whose gradient stays zero; a negative one counts from the end. */
  readonly paddingIdx?: number
  /** What rows are multiplied by, as in Gemma; 1 if absent. */
  readonly scale?: number
  /** The table, in place of a fresh one that is drawn. */
  readonly weight?: Parameter
}

function normals({ seed, stream }: Draw, count: number): Float32Array {
  const random = new Random(seed, stream)
  return Float32Array.from({ length: count }, () => random.normal())
}

function normalDraw(count: number): () => Float32Array {
  const draw = nextDraw()
  return () => normals(draw, count)
}

function transposed(matrix: Tensor): Tensor {
  return permuteOp([matrix], { order: [1, 0] })
}

function identity(size: number, { backend }: Tensor): Tensor {
  const ones = Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0))
  return tensor(ones, [size, size], { backend })
}

function fromEnd(index: number | undefined, count: number): number | undefined {
  return index !== undefined && index < 0 ? index + count : index
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
export class Embedding extends Module implements Adaptable {
  readonly numEmbeddings: number
  readonly embeddingDim: number
  readonly paddingIdx: number | undefined
  readonly scale: number
  weight: Parameter

  constructor(numEmbeddings: number, embeddingDim: number, options: EmbeddingModuleOptions = {}) {
    super()
    this.numEmbeddings = numEmbeddings
    this.embeddingDim = embeddingDim
    this.paddingIdx = fromEnd(options.paddingIdx, numEmbeddings)
    this.scale = options.scale ?? 1
    const shape = [numEmbeddings, embeddingDim]
    this.weight = options.weight ?? new Parameter(normalDraw(countOf(shape)), shape, options)
  }

  get kind(): string {
    return 'embedding'
  }

  get inFeatures(): number {
    return this.numEmbeddings
  }

  get outFeatures(): number {
    return this.embeddingDim
  }

  forward(index: Tensor): Tensor {
    return this.#rows(index, this.weight)
  }

  #rows(index: Tensor, table: Tensor): Tensor {
    const y = embedding(index, table, { paddingIdx: this.paddingIdx })
    return this.scale === 1 ? y : mul(y, this.scale)
  }

  factorShapes(r: number): FactorShapes {
    return { A: [r, this.numEmbeddings], B: [this.embeddingDim, r] }
  }

  /** PEFT starts from A zero and B normal here, whatever else is asked for. */
  factorStart(r: number, draw: Draw): FactorStart {
    return {
      A: () => new Float32Array(r * this.numEmbeddings),
      B: () => normals(draw, this.embeddingDim * r),
    }
  }

  refusal(_r: number, biased: boolean): string | undefined {
    return biased ? 'is an embedding, which has no bias (leave loraBias out)' : undefined
  }

  updated(index: Tensor, updates: readonly LowRank[], weight: Tensor | undefined): Tensor {
    const base = weight && this.#rows(index, weight)
    const terms = [base, ...updates.map(update => this.#term(index, update))]
    return terms.filter(term => term !== undefined).reduce(add)
  }

  /** s · A[:, index]ᵀ · Bᵀ. Indices cannot be thinned out: there is no dropout here, as in PEFT. */
  #term(index: Tensor, { A, B, scale, rows }: LowRank): Tensor {
    const u = this.#rows(index, transposed(A))
    if (!rows) {
      return mul(loraLinear(u, B, undefined, []), scale)
    }
    // An update of its own entries alone, where the identity stands for A.
    return loraLinear(u, undefined, undefined, [{ A: identity(A.shape[0], A), B, scale, rows }])
  }

  project(A: Tensor, weight: Tensor): Tensor {
    return loraLinear(A, weight, undefined, [], { transposed: true })
  }

  oriented(weight: Tensor): Tensor {
    return transposed(weight)
  }

  arranged(matrix: Tensor): Tensor {
    return transposed(matrix)
  }

  like(weight: Parameter): Embedding {
    const { numEmbeddings, embeddingDim, paddingIdx, scale } = this
    return new Embedding(numEmbeddings, embeddingDim, { paddingIdx, scale, weight })
  }
}

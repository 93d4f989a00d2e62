// An embedding, or an output layer of the same weight, in which an adapter has rows of its own for a few
// tokens: `trainableTokenIndices`. Rows are replaced, not changed by a difference, and only these rows are
// trained. With W̃ = W but for the rows k of D [n, C] at the tokens t_k:
//
//   embedding:     y = W̃[index]       output layer:  y = x·W̃ᵀ, whose columns t_k are x·Dᵀ

import type { DType } from '../core/dtype.ts'
import { Parameter } from '../core/parameter.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { Embedding } from '../nn/embedding.ts'
import type { Linear } from '../nn/linear.ts'
import type { Member, Module } from '../nn/module.ts'
import { cat } from '../ops/cat.ts'
import { embedding } from '../ops/embedding.ts'
import { indexSelect } from '../ops/index_select.ts'
import { linear } from '../ops/linear.ts'
import { mul } from '../ops/mul.ts'
import { where } from '../ops/where.ts'
import { BASE_NAME, chosenAdapters, rowAdapters, withOnly } from './active.ts'
import { Holder, madeOnce, type Unloading } from './holder.ts'
import { madeParameter } from './made_parameter.ts'
import { splitRows } from './rows.ts'

/** The tokens of an adapter and their rows. */
export interface Tokens {
  readonly indices: readonly number[]
  /** [n, C], in the order of the indices. */
  readonly rows: Parameter
  /** Whether they are another module's too, whose part of the file they are. */
  readonly shared?: boolean
}

/** The name of the rows in PEFT's file. */
export const TOKENS_KEY = 'token_adapter.trainable_tokens_delta'

export class TokenModule extends Holder {
  override readonly exclusive = true
  original_module: Module
  readonly tokens: Map<string, Tokens> = new Map()
  readonly #plain: Embedding | Linear

  constructor(module: Module, plain: Embedding | Linear) {
    super()
    this.original_module = module
    this.#plain = plain
  }

  override get inner(): Module {
    return this.original_module
  }

  override *members(): Generator<[string, Member]> {
    yield ['original_module', this.original_module]
    for (const [name, { rows, shared }] of this.tokens) {
      if (!shared) {
        yield [`${TOKENS_KEY}.${name}`, rows]
      }
    }
  }

  override names(): string[] {
    return [...this.tokens.keys()]
  }

  #tokens(name: string): Tokens {
    return this.tokens.get(name) as Tokens
  }

  override entries(name: string): [key: string, Parameter][] {
    const { rows, shared } = this.#tokens(name)
    return shared ? [] : [[TOKENS_KEY, rows]]
  }

  override parametersOf(name: string): { all: Parameter[]; trained: Parameter[] } {
    const { rows } = this.#tokens(name)
    return { all: [rows], trained: [rows] }
  }

  override remove(name: string): void {
    this.tokens.delete(name)
  }

  forward(x: Tensor): Tensor {
    const rows = rowAdapters()
    if (rows?.some(name => this.tokens.has(name))) {
      return splitRows(x, rows, (x, name) => withOnly(name, () => this.#run(name, x)))
    }
    const names = rows ? [] : (chosenAdapters() ?? this.active)
    return this.#run(names.findLast(name => this.tokens.has(name)) ?? BASE_NAME, x)
  }

  #run(name: string, x: Tensor): Tensor {
    const y = this.original_module.forward(x)
    const tokens = this.tokens.get(name)
    if (!tokens) {
      return y
    }
    const plain = this.#plain
    return plain instanceof Embedding ? embedded(x, y, tokens, plain) : withColumns(x, y, tokens)
  }

  /** The layer with an adapter's rows for good. */
  override unloaded(name: string | undefined, unloading: Unloading): Module {
    const tokens = name === undefined ? undefined : this.tokens.get(name)
    const layer = this.original_module as Embedding | Linear
    if (tokens) {
      layer.weight = madeOnce(unloading, [tokens.rows, layer.weight], () =>
        replacedRows(layer.weight, tokens, unloading.dtype),
      )
    }
    return layer
  }
}

/** y with the rows of the adapter's tokens in their places. */
function embedded(index: Tensor, y: Tensor, { indices, rows }: Tokens, plain: Embedding): Tensor {
  const { paddingIdx, scale } = plain
  const places = new Map(indices.map((token, k) => [token, k]))
  const found = [...index.dataSync()].map(token => places.get(token) ?? -1)
  const { backend } = y
  const options = { dtype: 'int32', backend } as const
  const at = tensor(
    found.map(k => Math.max(k, 0)),
    index.shape,
    options,
  )
  const mask = tensor(
    found.map(k => (k >= 0 ? 1 : 0)),
    [...index.shape, 1],
    options,
  )
  const padding = paddingIdx === undefined ? undefined : places.get(paddingIdx)
  const own = embedding(at, rows, { paddingIdx: padding })
  return where(mask, scale === 1 ? own : mul(own, scale), y)
}

/** y with the columns of the adapter's tokens in their places. */
function withColumns(x: Tensor, y: Tensor, { indices, rows }: Tokens): Tensor {
  const V = y.shape[y.shape.length - 1]
  const places = Array.from({ length: V }, (_, token) => token)
  indices.forEach((token, k) => {
    places[token] = V + k
  })
  const index = tensor(places, [V], { dtype: 'int32', backend: y.backend })
  return indexSelect(cat([y, linear(x, rows)], { dim: -1 }), y.shape.length - 1, index)
}

/** The rows of a weight for some tokens, trained, in float32. */
export function rowsOf(weight: Parameter, indices: readonly number[]): Parameter {
  const { backend } = weight
  const index = tensor(indices, [indices.length], { dtype: 'int32', backend })
  return madeParameter(() => embedding(index, weight))
}

function replacedRows(
  weight: Parameter,
  { indices, rows }: Tokens,
  dtype: DType = weight.dtype,
): Parameter {
  const data = weight.dataSync()
  const C = weight.shape[1]
  const own = rows.dataSync()
  indices.forEach((token, k) => {
    data.set(own.subarray(k * C, (k + 1) * C), token * C)
  })
  const { backend } = weight
  return new Parameter(data, weight.shape, { dtype, backend, requiresGrad: false })
}

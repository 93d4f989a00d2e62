// What every decoder offers, whatever its family: logits of the next token, a loss over labels, and
// a cache for generation.

import { LowrankError } from '../core/errors.ts'
import { formatShape } from '../core/shape.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import type { AdapterSelection } from '../lora/active.ts'
import { KVCache } from '../nn/kv_cache.ts'
import { Module } from '../nn/module.ts'
import { crossEntropy } from '../ops/cross_entropy.ts'
import { indexSelect } from '../ops/index_select.ts'
import { reshape } from '../ops/reshape.ts'
import { slice } from '../ops/slice.ts'

/** A label that is not learned. */
export const IGNORE_INDEX = -100

export interface ForwardOptions {
  /** 1 for tokens, 0 for padding: [B, T], or [B, cached + T] with a cache. All ones if absent. */
  readonly attentionMask?: Tensor
  /** Keys and values of the tokens before; the new ones are appended. */
  readonly cache?: DecoderCache
  /** Which adapter this call uses; the model's default if absent. */
  readonly adapter?: AdapterSelection
  /** One adapter for each row of the batch, `__base__` for none. */
  readonly adapterNames?: readonly string[]
  /** Logits of the last column only, [B, 1, V]. */
  readonly lastOnly?: boolean
}

/** Numbers that every decoder has, whatever its family calls them. */
export interface DecoderSizes {
  readonly vocabSize: number
  readonly maxPositionEmbeddings: number
  readonly numLayers: number
  readonly numKeyValueHeads: number
  readonly headDim: number
  readonly eosTokenIds: readonly number[]
}

/** Keys and values of all layers, for a batch of at most `capacity` tokens each. */
export class DecoderCache {
  readonly layers: readonly KVCache[]

  constructor(layers: readonly KVCache[]) {
    this.layers = layers
  }

  /** How many tokens are cached. */
  get length(): number {
    return this.layers[0]?.length ?? 0
  }

  dispose(): void {
    for (const layer of this.layers) {
      layer.dispose()
    }
  }
}

/** A decoder with a head over the vocabulary. */
export abstract class CausalLM extends Module {
  /** The Hugging Face `model_type`. */
  abstract readonly modelType: string
  /** The path of the head, which `all-linear` leaves out. */
  abstract readonly outputLayer: string
  abstract readonly sizes: DecoderSizes
  abstract override forward(inputIds: Tensor, options?: ForwardOptions): Tensor
  /** A model of the same configuration on the current backend, with weights not drawn yet. */
  abstract sameShape(): CausalLM
  /** The states before the head, [B, T, C]. */
  protected abstract hidden(inputIds: Tensor, options: ForwardOptions): Tensor
  protected abstract head(): { forward(x: Tensor): Tensor }

  /**
   * The mean cross-entropy of the next token over all labels but IGNORE_INDEX. `labels` [B, T] are
   * aligned with `inputIds`, as in transformers: column t + 1 is what column t is to predict. The
   * head runs only where there is something to learn. Throws a `data` error if there is nothing.
   */
  loss(inputIds: Tensor, labels: Tensor, options: ForwardOptions = {}): Tensor {
    const { rows, targets } = learned(labels)
    const hidden = this.hidden(inputIds, options)
    const C = hidden.shape[2]
    const flat = reshape(hidden, [hidden.size / C, C])
    const backend = hidden.backend
    const index = tensor(rows, [rows.length], { dtype: 'int32', backend })
    const logits = this.head().forward(indexSelect(flat, 0, index))
    return crossEntropy(logits, tensor(targets, [targets.length], { dtype: 'int32', backend }))
  }

  newCache(batch: number, capacity: number): DecoderCache {
    const { numLayers, numKeyValueHeads, headDim } = this.sizes
    const { backend } = this.parameters()[0]
    const sizes = { batch, capacity, heads: numKeyValueHeads, headDim, backend }
    return new DecoderCache(Array.from({ length: numLayers }, () => new KVCache(sizes)))
  }

  protected logits(hidden: Tensor, options: ForwardOptions): Tensor {
    const T = hidden.shape[1]
    const states = options.lastOnly ? slice(hidden, 1, T - 1, T) : hidden
    return this.head().forward(states)
  }

  /** Throws a `shape` error unless the tokens, cached ones included, fit the model. */
  protected checkLength(inputIds: Tensor, cached: number): void {
    const { maxPositionEmbeddings } = this.sizes
    if (inputIds.shape.length !== 2) {
      throw new LowrankError(
        'shape',
        `${this.modelType}: expected inputIds [B, T], got ${formatShape(inputIds.shape)}`,
      )
    }
    const length = cached + inputIds.shape[1]
    if (length > maxPositionEmbeddings) {
      throw new LowrankError(
        'shape',
        `${this.modelType}: ${length} tokens are more than the ${maxPositionEmbeddings} positions ` +
          'of the model (shorten the sequence)',
      )
    }
  }
}

interface Learned {
  /** Rows of the flattened hidden states [B·T, C] that predict something. */
  readonly rows: number[]
  readonly targets: number[]
}

function learned(labels: Tensor): Learned {
  const [B, T] = labels.shape
  const values = labels.dataSync()
  const rows: number[] = []
  const targets: number[] = []
  for (let b = 0; b < B; b++) {
    for (let t = 0; t + 1 < T; t++) {
      const target = values[b * T + t + 1]
      if (target !== IGNORE_INDEX) {
        rows.push(b * T + t)
        targets.push(target)
      }
    }
  }
  if (rows.length === 0) {
    throw new LowrankError(
      'data',
      `loss: expected a label to learn among ${labels.size}, got ${IGNORE_INDEX} everywhere`,
    )
  }
  return { rows, targets }
}

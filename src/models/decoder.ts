// What every decoder has, whatever is on top of it: tokens [B, T] to states [B, T, C], with adapters
// chosen per call and a cache of keys and values.

import { LowrankError } from '../core/errors.ts'
import { formatShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { type AdapterSelection, namesOf, withAdapter, withAdapterNames } from '../lora/active.ts'
import { checkModel } from '../lora/adapters.ts'
import { rowNames } from '../lora/module.ts'
import { DEFAULT_TARGETS } from '../lora/targets.ts'
import { Module } from '../nn/module.ts'
import type { DecoderCache } from './decoder_cache.ts'

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

/** Tokens [B, T] to states [B, T, C]. */
export interface DecoderBody extends Module {
  forward(inputIds: Tensor, options: ForwardOptions): Tensor
}

/** A decoder that something is yet to be put on top of. */
export interface DecoderParts {
  /** The Hugging Face `model_type`. */
  readonly modelType: string
  readonly sizes: DecoderSizes
  /** The width C of the states. */
  readonly hiddenSize: number
  readonly body: DecoderBody
  /** The path of the embedding in the body. */
  readonly inputLayer: string
}

/** A decoder and what is on top of it. */
export abstract class Decoder extends Module {
  /** The Hugging Face `model_type`. */
  abstract readonly modelType: string
  /** The path of the layer on top, which `all-linear` leaves out. */
  abstract readonly outputLayer: string
  abstract readonly sizes: DecoderSizes
  protected abstract body(): DecoderBody

  /** The layers that PEFT adapts in this family where nothing else is said. */
  get defaultTargets(): readonly string[] | undefined {
    return DEFAULT_TARGETS[this.modelType]
  }

  /** The states below the layer on top, [B, T, C]. */
  protected hidden(inputIds: Tensor, options: ForwardOptions): Tensor {
    this.checkLength(inputIds, options.cache?.length ?? 0)
    const { adapter, adapterNames } = options
    const names = [...(namesOf(adapter) ?? []), ...rowNames(adapterNames)]
    if (names.length > 0) {
      checkModel(this.modelType, this, names)
    }
    return this.adapted(options, () => this.body().forward(inputIds, options))
  }

  /** Runs `fn` with the adapters of this call: what is below, and what is on top, needs them. */
  protected adapted<T>(
    { adapter, adapterNames }: Pick<ForwardOptions, 'adapter' | 'adapterNames'>,
    fn: () => T,
  ): T {
    return withAdapter(adapter, () => withAdapterNames(adapterNames, fn))
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

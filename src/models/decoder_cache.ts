// The keys and values of past tokens in every layer of a decoder: [B, capacity, H, D] each. A file of its own,
// because training has no use for it.

import { KVCache } from '../nn/kv_cache.ts'
import type { Decoder } from './decoder.ts'

/**
 * Keys and values of all layers, for a batch of at most `capacity` tokens each.
 *
 * @example
 * ```ts
 * import { DecoderCache, LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'
 *
 * const config = readLlamaConfig('example', {
 *   vocab_size: 16, hidden_size: 8, intermediate_size: 16, num_hidden_layers: 1,
 *   num_attention_heads: 2,
 * })
 * const cache = new DecoderCache(new LlamaForCausalLM(config), { batch: 1, capacity: 4 })
 * console.log(cache.length) // 0
 * cache.dispose()
 * ```
 */
export class DecoderCache {
  readonly layers: readonly KVCache[]

  constructor(
    decoder: Decoder,
    { batch, capacity }: { readonly batch: number; readonly capacity: number },
  ) {
    const { numLayers, numKeyValueHeads: heads, headDim } = decoder.sizes
    const { backend } = decoder.parameters()[0]
    const sizes = { batch, capacity, heads, headDim, backend }
    this.layers = Array.from({ length: numLayers }, () => new KVCache(sizes))
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

// Keys and values of past tokens: [B, capacity, H, D] each, written in place, outside the tape. The
// cache is no tensor: `append` gives the whole room and how much of it is in use, for the attention
// of one call.

import type { Backend } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { isRecording, OpContext } from '../core/op.ts'
import { scoped } from '../core/scope.ts'
import { stridesOf } from '../core/shape.ts'
import { type PersistentTensor, persistentZeros, type Tensor } from '../core/tensor.ts'
import { copyView, strided, whole } from '../ops/strided.ts'

export interface KVCacheSizes {
  readonly batch: number
  /** The most tokens it holds. */
  readonly capacity: number
  readonly heads: number
  readonly headDim: number
  readonly backend: Backend
}

export interface CachedKeys {
  /** [B, capacity, H, D], of which the first `length` tokens are in use. */
  readonly keys: Tensor
  readonly values: Tensor
  readonly length: number
}

/**
 * The keys and values that one attention layer has seen.
 *
 * @example
 * ```ts
 * import { tensor } from 'lowrank'
 * import { KVCache } from 'lowrank/nn'
 *
 * const k = tensor([1, 2], [1, 1, 1, 2])
 * const cache = new KVCache({ batch: 1, capacity: 4, heads: 1, headDim: 2, backend: k.backend })
 * console.log(cache.append(k, k).length) // 1
 * cache.dispose()
 * ```
 */
export class KVCache {
  readonly #sizes: KVCacheSizes
  readonly #keys: PersistentTensor
  readonly #values: PersistentTensor
  #length = 0

  constructor(sizes: KVCacheSizes) {
    const { batch, capacity, heads, headDim, backend } = sizes
    this.#sizes = sizes
    this.#keys = persistentZeros(backend, [batch, capacity, heads, headDim])
    this.#values = persistentZeros(backend, [batch, capacity, heads, headDim])
  }

  /** How many tokens are cached. */
  get length(): number {
    return this.#length
  }

  /**
   * Writes k and v [B, T, H, D] behind what is there. Throws a `shape` error if they do not fit, and
   * a `scope` error while a step records: nothing could be differentiated through a cache.
   */
  append(k: Tensor, v: Tensor): CachedKeys {
    const { batch: B, heads: H, headDim: D, capacity } = this.#sizes
    const { T } = dims('KVCache: k', k, 'B T H D', { B, H, D })
    dims('KVCache: v', v, 'B T H D', { B, T, H, D })
    if (this.#length + T > capacity) {
      throw new LowrankError(
        'shape',
        `KVCache: ${this.#length} tokens are cached and ${T} more do not fit a capacity of ${capacity}`,
      )
    }
    if (isRecording()) {
      throw new LowrankError('scope', 'KVCache: expected no step to record, got one (use noGrad)')
    }
    scoped(() => {
      this.#write(k, this.#keys)
      this.#write(v, this.#values)
    })
    this.#length += T
    return { keys: this.#keys, values: this.#values, length: this.#length }
  }

  dispose(): void {
    this.#keys.dispose()
    this.#values.dispose()
  }

  #write(x: Tensor, target: PersistentTensor): void {
    const context = new OpContext(this.#sizes.backend, strided, [])
    const strides = stridesOf(target.shape)
    const offset = this.#length * strides[1]
    const room = { buffer: target.buffer(), offset, strides }
    copyView(context, whole(context.floats(x), x.shape), room, x.shape)
    context.finish()
  }
}

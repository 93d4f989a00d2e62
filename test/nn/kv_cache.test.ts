// A cache of keys and values: decoding with it gives the same bits as one pass over all tokens.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { scoped } from '../../src/core/scope.ts'
import { noGrad, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { KVCache } from '../../src/nn/kv_cache.ts'
import { scaledDotProductAttention } from '../../src/ops/attention.ts'
import { backends } from '../support/backends.ts'

const random = new Random(51, 'kv_cache')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

describe.each(backends)('KVCache on $name', ({ make }) => {
  const [B, H, Hkv, T, D] = [2, 4, 2, 53, 8]
  const data = { q: draws(B * T * H * D), k: draws(B * T * Hkv * D), v: draws(B * T * Hkv * D) }

  /** Tokens from … to − 1 of every batch entry. */
  function tokens(name: 'q' | 'k' | 'v', from: number, to: number): Tensor {
    const heads = name === 'q' ? H : Hkv
    const row = heads * D
    const parts = Array.from({ length: B }, (_, b) =>
      Array.from(data[name].subarray((b * T + from) * row, (b * T + to) * row)),
    )
    return tensor(parts.flat(), [B, to - from, heads, D])
  }

  const cacheOf = (capacity: number): KVCache => {
    const { backend } = tensor([], [0])
    return new KVCache({ batch: B, capacity, heads: Hkv, headDim: D, backend })
  }

  it.each([
    [[T]],
    [[1, ...Array.from({ length: T - 1 }, () => 1)]],
    [[40, 1, 1, 1, 10]],
    [[7, 41, 5]],
  ])('decodes in parts of %j tokens with the bits of one pass', parts => {
    withBackend(make(), () => {
      const mask = Int32Array.from({ length: B * T }, (_, i) => (i % 11 === 0 ? 0 : 1))
      const masked = (length: number): Tensor => {
        const rows = Array.from({ length: B }, (_, b) =>
          Array.from(mask.subarray(b * T, b * T + length)),
        )
        return tensor(rows.flat(), [B, 1, 1, length], { dtype: 'int32' })
      }
      const options = { isCausal: true, enableGqa: true }
      const all = scaledDotProductAttention(
        tokens('q', 0, T),
        tokens('k', 0, T),
        tokens('v', 0, T),
        {
          ...options,
          mask: masked(T),
        },
      ).dataSync()
      const cache = cacheOf(64)
      let past = 0
      for (const count of parts) {
        const end = past + count
        const { keys, values, length } = cache.append(
          tokens('k', past, end),
          tokens('v', past, end),
        )
        const y = scaledDotProductAttention(tokens('q', past, end), keys, values, {
          ...options,
          queryOffset: past,
          keyLength: length,
          mask: masked(length),
        }).dataSync()
        for (let b = 0; b < B; b++) {
          const got = y.slice(b * count * H * D, (b + 1) * count * H * D)
          expect(got).toEqual(all.slice((b * T + past) * H * D, (b * T + end) * H * D))
        }
        past = end
      }
      expect(cache.length).toBe(T)
      cache.dispose()
    })
  })

  it('takes memory once and gives it back', () => {
    const backend = make()
    withBackend(backend, () => {
      scoped(() => undefined)
      const before = backend.memory().used
      const cache = cacheOf(8)
      cache.append(tokens('k', 0, 1), tokens('v', 0, 1))
      const one = backend.memory().used
      cache.append(tokens('k', 1, 5), tokens('v', 1, 5))
      expect(backend.memory().used).toBe(one)
      expect(one).toBeGreaterThanOrEqual(before + 2 * B * 8 * Hkv * D * 4)
      cache.dispose()
      expect(backend.memory().used).toBe(before)
    })
  })

  it('refuses what does not fit', () => {
    withBackend(make(), () => {
      const cache = cacheOf(4)
      cache.append(tokens('k', 0, 3), tokens('v', 0, 3))
      expect(() => cache.append(tokens('k', 3, 5), tokens('v', 3, 5))).toThrow(
        'KVCache: 3 tokens are cached and 2 more do not fit a capacity of 4',
      )
      expect(() => cache.append(tokens('q', 3, 4), tokens('v', 3, 4))).toThrow(
        'KVCache: k: expected',
      )
      expect(() => cache.append(tokens('k', 3, 4), tokens('v', 3, 5))).toThrow(
        'KVCache: v: expected',
      )
      expect(cache.length).toBe(3)
    })
  })

  it('refuses to be written while a step records', () => {
    withBackend(make(), () => {
      const cache = cacheOf(4)
      const append = (): unknown => cache.append(tokens('k', 0, 1), tokens('v', 0, 1))
      expect(() => step(append)).toThrow('KVCache: expected no step to record')
      step(() => noGrad(() => void append()))
      expect(cache.length).toBe(1)
    })
  })
})

// Products on a device against sums in float64, around the edges of tiles and of splits of K. Elements are
// sixteenths of at most 2, so that every sum of up to 2¹² products is a float32 whatever its order: results
// are equal, not close. Elements beside the result stay as they are.

import { describe, expect, it } from 'vitest'
import { shareOf, tileFor } from '../../../src/backends/webgpu/matmul.ts'
import type { Backend } from '../../../src/core/backend.ts'
import { narrow } from '../../../src/core/half.ts'
import { Random } from '../../../src/core/rng.ts'
import { matmulReference } from '../../../src/ops/matmul.ts'
import { backends } from '../../support/backends.ts'

type Variant = 'nn' | 'nt' | 'tn'

interface Product {
  readonly variant: Variant
  readonly sizes: readonly [M: number, N: number, K: number]
  readonly format?: 0 | 1 | 2
  /** Elements before each operand, and elements that its rows are longer than the matrix is wide. */
  readonly offset?: number
  readonly pad?: number
  readonly alpha?: number
  readonly accumulate?: 0 | 1
}

const DTYPES = ['float32', 'float16', 'bfloat16'] as const
const GUARD = 77

function sixteenths(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => ((random.uint32() % 65) - 32) / 16)
}

function stored(values: Float32Array, dtype: (typeof DTYPES)[number]): Float32Array | Uint16Array {
  return dtype === 'float32' ? values : narrow(values, dtype)
}

function run(backend: Backend, product: Product): { got: Float32Array; want: Float32Array } {
  const { variant, sizes, format = 0, offset = 0, pad = 0, alpha = 1, accumulate = 0 } = product
  const [M, N, K] = sizes
  const random = new Random(M * 31 + N * 17 + K, variant)
  const [aRows, aCols] = variant === 'tn' ? [K, M] : [M, K]
  const [bRows, bCols] = variant === 'nt' ? [N, K] : [K, N]
  const [aStride, bStride, cStride] = [aCols + pad, bCols + pad, N + pad]
  const a = sixteenths(random, offset + aRows * aStride)
  const b = sixteenths(random, offset + bRows * bStride)
  const c = new Float32Array(offset + M * cStride).fill(GUARD)
  const want = c.slice()
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      let sum = 0
      for (let k = 0; k < K; k++) {
        const x = a[offset + (variant === 'tn' ? k * aStride + m : m * aStride + k)]
        const y = b[offset + (variant === 'nt' ? n * bStride + k : k * bStride + n)]
        sum += x * y
      }
      want[offset + m * cStride + n] = alpha * sum + accumulate * GUARD
    }
  }
  const buffers = [a, stored(b, DTYPES[format]), c].map((data, i) => {
    const dtype = i === 1 ? DTYPES[format] : 'float32'
    const buffer = backend.allocate(dtype, data.length)
    backend.write(buffer, dtype, data)
    return buffer
  })
  const kernels = backend.kernels({ name: 'matmul', reference: matmulReference })
  const left = [buffers[0], offset, aStride, buffers[1], offset, bStride, format] as const
  const right = [buffers[2], offset, cStride, M, N, K, alpha, accumulate] as const
  kernels[`matmul_${variant}`](...left, ...right, backend.scratch(0))
  const got = backend.read(buffers[2], 'float32', c.length) as Float32Array
  for (const buffer of buffers) {
    backend.release(buffer)
  }
  return { got, want }
}

const devices = backends.filter(({ name }) => name === 'webgpu')
if (devices.length === 0) {
  console.warn('skipped: backend webgpu is absent (npm run test:webgpu)')
}

const VARIANTS: readonly Variant[] = ['nn', 'nt', 'tn']

describe('rules on the shape', () => {
  it('takes large tiles where both sides are long and threads are many', () => {
    expect(tileFor(256, 512)).toEqual({ size: 8, across: 8 })
    expect(tileFor(255, 512)).toEqual({ size: 4, across: 8 })
    expect(tileFor(65536, 8)).toEqual({ size: 4, across: 2 })
    expect(tileFor(1, 1)).toEqual({ size: 4, across: 1 })
  })

  it('splits K where there are few threads and much to add up', () => {
    expect(shareOf(256, 8, 768)).toBe(128)
    expect(shareOf(8, 4096, 1024)).toBe(256)
    expect(shareOf(256, 8, 511)).toBe(511)
    expect(shareOf(256, 768, 768)).toBe(768)
    expect(shareOf(3, 5, 0)).toBe(1)
    expect(shareOf(0, 5, 4096) * 32).toBeGreaterThanOrEqual(4096)
  })

  it('ends parts at fours, and takes as many as are worth a thread', () => {
    for (let K = 512; K < 3000; K += 7) {
      const share = shareOf(8, 8, K)
      expect(share % 4).toBe(0)
      // As many equal parts of at least 128 as fit, and rounded up, so that no step needs one part more.
      const equal = K / Math.floor(K / 128)
      expect(share).toBeGreaterThanOrEqual(equal)
      expect(share).toBeLessThan(equal + 4)
    }
  })
})

describe.each(devices)('products on $name', ({ make }) => {
  const backend = make()

  it.each(VARIANTS)('%s: around the edges of tiles', variant => {
    for (const M of [1, 4, 5]) {
      for (const N of [1, 3, 4, 9, 33]) {
        for (const K of [1, 4, 7]) {
          const { got, want } = run(backend, { variant, sizes: [M, N, K], pad: K % 2 })
          expect(got).toEqual(want)
        }
      }
    }
  })

  it.each(VARIANTS)('%s: tiles of eight', variant => {
    for (const sizes of [
      [64, 2048, 4],
      [65, 2051, 3],
      [257, 521, 6],
    ] as const) {
      const { got, want } = run(backend, { variant, sizes, alpha: 2, accumulate: 1 })
      expect(got).toEqual(want)
    }
  })

  it.each(VARIANTS)('%s: a K that is split', variant => {
    for (const [M, N, K] of [
      [8, 16, 1024],
      [8, 16, 1027],
      [5, 3, 4000],
      [64, 4, 513],
    ] as const) {
      const settings = { alpha: 0.5, accumulate: 1, offset: 4 * (K % 2), pad: 4 * (M % 2) } as const
      for (const format of [0, 1, 2] as const) {
        const { got, want } = run(backend, { variant, sizes: [M, N, K], format, ...settings })
        expect(got).toEqual(want)
      }
      const { got, want } = run(backend, { variant, sizes: [M, N, K], offset: 1, pad: 3 })
      expect(got).toEqual(want)
    }
  })
})

// matmul_nn, matmul_nt, matmul_tn against the loop that defines them, bit for bit: one accumulator,
// k ascending, multiply then add in f32, around every edge of tiles and blocks; guard words around
// every output; and the promise that a row alone equals the row in a batch.
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { binary } from '../../../src/backends/wasm/binaries/core.ts'
import { Random } from '../../../src/core/rng.ts'
import { bfloatValue, halfValue } from '../../support/halves.ts'
import { KernelInstance } from '../../support/instance.ts'

type Variant = 'nn' | 'nt' | 'tn'

interface Product {
  variant: Variant
  M: number
  N: number
  K: number
  format: number
  alpha: number
  accumulate: number
  // Elements before the operand, and elements that a row is longer than the matrix is wide.
  offset: number
  pad: number
}

const F32 = 0
const F16 = 1
const BF16 = 2
const PANELS = 4
const GUARD = 0x7fc0dead
const instance = new KernelInstance(binary.module(), 48)
const { kernels } = instance
const SCRATCH = 4 * kernels.matmul_scratch()

/** Random bits of an element with a magnitude around 1, and some zeros. */
function elementBits(random: Random, format: number): number {
  const draw = random.uint32()
  if (draw % 16 === 0) {
    return 0
  }
  const sign = draw >>> 31
  if (format === F16) {
    return (sign << 15) | ((13 + (draw % 3)) << 10) | ((draw >>> 8) & 1023)
  }
  if (format === BF16) {
    return (sign << 15) | ((125 + (draw % 3)) << 7) | ((draw >>> 8) & 127)
  }
  return ((sign << 31) | ((125 + (draw % 3)) << 23) | ((draw >>> 2) & 0x7fffff)) >>> 0
}

const scalarBits = new Uint32Array(1)
const scalar = new Float32Array(scalarBits.buffer)

function elementValue(bits: number, format: number): number {
  if (format === F16) {
    return halfValue(bits)
  }
  if (format === BF16) {
    return bfloatValue(bits)
  }
  scalarBits[0] = bits
  return scalar[0]
}

/** A stored matrix: its values row by row, and where the kernel finds it. */
interface Stored {
  values: Float32Array
  address: number
  offset: number
  stride: number
}

/** Rows and columns as stored; everything around the matrix is NaN. */
function storeMatrix(
  random: Random,
  format: number,
  rows: number,
  columns: number,
  offset: number,
  pad: number,
  atEnd = false,
): Stored {
  const dtype = format & 3
  const panels = (format & PANELS) !== 0
  const stride = panels ? columns : columns + pad
  const start = panels ? 8 * stride * (offset > 0 ? 1 : 0) : offset
  const body = panels ? Math.ceil(rows / 8) * 8 * stride : rows * stride
  const used = atEnd && !panels && rows > 0 ? start + body - pad : start + body
  const bytes = used * (dtype === F32 ? 4 : 2)
  const address = atEnd ? instance.atEnd(bytes) : instance.reserve(bytes)
  const cells = dtype === F32 ? instance.u32(address, used) : instance.u16(address, used)
  cells.fill(dtype === F32 ? GUARD : 0x7fff)
  const values = new Float32Array(rows * columns)
  for (let row = 0; row < (panels ? Math.ceil(rows / 8) * 8 : rows); row++) {
    for (let column = 0; column < columns; column++) {
      const bits = row < rows ? elementBits(random, dtype) : 0
      const at = panels ? ((row >> 3) * stride + column) * 8 + (row & 7) : row * stride + column
      cells[start + at] = bits
      if (row < rows) {
        values[row * columns + column] = elementValue(bits, dtype)
      }
    }
  }
  return { values, address, offset: start, stride }
}

/** Σ_k a·b with one f32 accumulator, k ascending. */
function dot(product: Product, a: Float32Array, b: Float32Array, m: number, n: number): number {
  const { variant, M, N, K } = product
  let sum = 0
  for (let k = 0; k < K; k++) {
    const x = variant === 'tn' ? a[k * M + m] : a[m * K + k]
    const y = variant === 'nt' ? b[n * K + k] : b[k * N + n]
    sum = Math.fround(sum + Math.fround(x * y))
  }
  return sum
}

/** Scratch memory with guard words behind it. */
function reserveScratch(): number {
  const scratch = instance.reserve(SCRATCH + 64)
  instance.u32(scratch + SCRATCH, 16).fill(GUARD)
  return scratch
}

/** Runs one product and returns the positions (row, column) whose bits differ, plus broken guards. */
function differences(product: Product, atEnd: 'a' | 'b' | 'none' = 'none'): string[] {
  const { variant, M, N, K, format, alpha, accumulate, offset, pad } = product
  instance.clear()
  const random = new Random(M * 7919 + N * 104729 + K, `${variant}${format}`)
  const aRows = variant === 'tn' ? K : M
  const aColumns = variant === 'tn' ? M : K
  const bRows = variant === 'nt' ? N : K
  const bColumns = variant === 'nt' ? K : N
  const a = storeMatrix(random, F32, aRows, aColumns, offset, pad, atEnd === 'a')
  const b = storeMatrix(random, format, bRows, bColumns, offset * 2, pad * 3, atEnd === 'b')
  const cStride = N + pad
  const cLength = offset + M * cStride + 16
  const cAddress = instance.reserve(4 * (cLength + 16)) + 64
  const guarded = instance.u32(cAddress - 64, cLength + 16)
  guarded.fill(GUARD)
  const c = instance.f32(cAddress, cLength)
  const scratch = reserveScratch()
  const expected = new Uint32Array(guarded)
  const expectedValues = new Float32Array(expected.buffer)
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      const at = offset + m * cStride + n
      const before = accumulate ? Math.fround(random.uniform() - 0.5) : Number.NaN
      c[at] = before
      const value = Math.fround(Math.fround(alpha) * dot(product, a.values, b.values, m, n))
      expectedValues[16 + at] = accumulate ? Math.fround(before + value) : value
    }
  }
  kernels[`matmul_${variant}`](
    ...[a.address, a.offset, a.stride],
    ...[b.address, b.offset, b.stride, format],
    ...[cAddress, offset, cStride],
    ...[M, N, K, alpha, accumulate, scratch],
  )
  const wrong: string[] = []
  for (let i = 0; i < guarded.length && wrong.length < 5; i++) {
    if (guarded[i] !== expected[i]) {
      const at = i - 16 - offset
      wrong.push(`row ${Math.floor(at / cStride)} column ${at % cStride} of ${M}x${N}x${K}`)
    }
  }
  if (instance.u32(scratch + SCRATCH, 16).some(word => word !== GUARD)) {
    wrong.push(`scratch overrun by ${M}x${N}x${K}`)
  }
  return wrong
}

const plain = { format: F32, alpha: 1, accumulate: 0, offset: 0, pad: 0 }
const variants: Variant[] = ['nn', 'nt', 'tn']
const formats: Record<Variant, number[]> = {
  nn: [0, 1, 2, 4, 5, 6],
  nt: [0, 1, 2, 4, 5, 6],
  tn: [0],
}

function differencesOver(products: Iterable<Product>): string[] {
  const wrong: string[] = []
  for (const product of products) {
    const name = `${product.variant} format ${product.format}`
    wrong.push(...differences(product).map(where => `${name}: ${where}`))
    if (wrong.length > 10) {
      break
    }
  }
  return wrong
}

describe.each(variants)('matmul_%s equals the loop bit for bit', variant => {
  const small = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]

  test('M around the tile, N around the panel, K around the unrolled steps', () => {
    function* products(): Generator<Product> {
      for (const M of small) {
        for (const N of [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40, 41]) {
          for (const K of [0, 1, 2, 3, 4, 5, 7, 8, 9, 12, 15]) {
            yield { ...plain, variant, M, N, K }
          }
        }
      }
    }
    expect(differencesOver(products())).toEqual([])
  })

  test('more rows and columns than one tile', () => {
    function* products(): Generator<Product> {
      for (let M = 31; M <= 41; M++) {
        for (const N of [7, 8, 25, 47, 48, 49, 64, 79, 80, 81]) {
          for (const K of [1, 8, 19, 64, 65]) {
            yield { ...plain, variant, M, N, K }
          }
        }
      }
    }
    expect(differencesOver(products())).toEqual([])
  })

  test.each(formats[variant])('format %i, alpha, accumulation, offsets and strides', format => {
    function* products(): Generator<Product> {
      for (const M of [1, 2, 3, 4, 5, 8, 11, 16, 33]) {
        for (const N of [1, 4, 8, 13, 32, 43, 88]) {
          for (const K of [0, 1, 3, 8, 9, 21, 40]) {
            const offset = 3 * ((M + N) % 3)
            yield { variant, M, N, K, format, alpha: -1.7, accumulate: 1, offset, pad: N % 4 }
            yield { variant, M, N, K, format, alpha: 0.3, accumulate: 0, offset, pad: 5 }
          }
        }
      }
    }
    expect(differencesOver(products())).toEqual([])
  })

  test.each(formats[variant])('format %i across the blocks of M, N and K', format => {
    const across: [number, number, number][] = [
      [3, 11, 511],
      [4, 9, 512],
      [5, 17, 513],
      [6, 20, 767],
      [1, 43, 769],
      [2, 24, 1025],
      [12, 13, 1544],
      [1, 8, 2100],
      [7, 255, 30],
      [7, 257, 600],
      [40, 521, 17],
      [319, 9, 20],
      [321, 12, 520],
      [643, 25, 9],
      [1, 11, 30_001],
      [2, 12, 30_001],
      [3, 4, 24_000],
      [5, 3, 12_345],
    ]
    const products = across.map(([M, N, K], i) => {
      const accumulate = i % 2
      return { variant, M, N, K, format, alpha: 1.5, accumulate, offset: i % 3, pad: i % 5 }
    })
    expect(differencesOver(products)).toEqual([])
  })

  test.each(formats[variant])('format %i reads nothing past its operands', format => {
    for (const M of [1, 2, 3, 4, 5, 6, 11]) {
      for (const N of [1, 5, 8, 9, 31, 40, 44]) {
        for (const K of [1, 2, 5, 8, 11, 16, 67]) {
          const product = { ...plain, variant, M, N, K, format, pad: 1 }
          expect(differences(product, 'a')).toEqual([])
          expect(differences(product, 'b')).toEqual([])
        }
      }
    }
  })
})

describe('a matrix in panels from beyond the caches, read ahead', () => {
  const far: [number, number, number][] = [
    [8, 1024, 1024],
    [11, 1025, 1023],
    [12, 1030, 1024],
    [13, 8190, 129],
    [35, 1024, 1029],
    [100, 1101, 1000],
  ]

  test.each(far)('%i × %i × %i', (M, N, K) => {
    const product = { ...plain, variant: 'nt', M, N, K, format: PANELS, alpha: 1.5 } as const
    expect(differences(product)).toEqual([])
    expect(differences({ ...product, accumulate: 1, offset: 3 }, 'b')).toEqual([])
  })
})

describe('the bits of a row do not depend on the batch', () => {
  const sizes = {
    M: fc.integer({ min: 1, max: 70 }),
    N: fc.integer({ min: 1, max: 90 }),
    K: fc.integer({ min: 0, max: 1200 }),
    seed: fc.integer({ min: 0, max: 1000 }),
    choice: fc.constantFrom(
      ...variants.flatMap(variant => formats[variant].map(format => ({ variant, format }))),
    ),
  }

  test('a row of a big product equals the row alone, a block of columns the block alone', () => {
    fc.assert(
      fc.property(fc.record(sizes), ({ M, N, K, seed, choice }) => {
        const { variant, format } = choice
        instance.clear()
        const random = new Random(seed, 'rows')
        const [aRows, aColumns] = variant === 'tn' ? [K, M] : [M, K]
        const [bRows, bColumns] = variant === 'nt' ? [N, K] : [K, N]
        const a = storeMatrix(random, F32, aRows, aColumns, 0, 0)
        const b = storeMatrix(random, format, bRows, bColumns, 0, 0)
        const whole = instance.reserve(4 * M * N)
        const part = instance.reserve(4 * N)
        const scratch = reserveScratch()
        const call = kernels[`matmul_${variant}`]
        const right = [b.address, b.offset, b.stride, format]
        call(a.address, 0, a.stride, ...right, whole, 0, N, M, N, K, 0.7, 0, scratch)
        const m = seed % M
        const offset = variant === 'tn' ? m : m * a.stride
        call(a.address, offset, a.stride, ...right, part, 0, N, 1, N, K, 0.7, 0, scratch)
        const row = instance.u32(whole + 4 * m * N, N)
        expect(instance.u32(part, N)).toEqual(row)
      }),
      { numRuns: 300 },
    )
  })
})

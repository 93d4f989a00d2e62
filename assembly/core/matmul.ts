// Products of f32 activations with f32, f16 or bf16 matrices, in rows or in panels:
//   matmul_nn   C [M, N] = A [M, K] · B [K, N]
//   matmul_nt   C [M, N] = A [M, K] · B [N, K]ᵀ
//   matmul_tn   C [M, N] = A [K, M]ᵀ · B [K, N]
//   v = alpha·Σ_k a·b,   C = v, or C + v with `accumulate`
// An element has one accumulator, from 0, k ascending, multiply then add: its bits depend on its row
// of A, its column of B and K alone. Blocks of K hand their raw sums on through `scratch`.
// Blocking: K. Goto, R. van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).

import { element_size, F32, PANELS } from './cast'
import { pack_columns, pack_panel, pack_rows } from './pack'
import { ACCUMULATE, LEAVE, RESUME, tiles } from './tile'

// Rows of A in a block (its K block stays in L2), columns of C in a block (their raw sums stay in
// scratch), k in a block (a panel of it stays in L1). Multiples of 8.
const ROWS: i32 = 320
const COLUMNS: i32 = 256
const DEPTH: i32 = 512

// Scratch, in elements: raw sums, packed panels of B, packed A.
const RAW: i32 = ROWS * COLUMNS
const PACKED_B: i32 = DEPTH * 32
const PACKED_A: i32 = DEPTH * ROWS
const RAW_STEP: usize = COLUMNS * 4

const NT: i32 = 0
const NN: i32 = 1

/** f32 elements of `scratch` that the products need. */
export function matmul_scratch(): i32 {
  return RAW + PACKED_B + PACKED_A
}

/** The size of equal blocks of at most `limit`, a multiple of `unit`, that cover n. */
@inline
function share(n: i32, limit: i32, unit: i32): i32 {
  const blocks = max(1, (n + limit - 1) / limit)
  const size = (n + blocks - 1) / blocks
  return (size + unit - 1) / unit * unit
}

/** Packs the panel of `count` columns from n and `K` k from k0; b is the operand's first byte. */
function pack_b(layout: i32, format: i32, b: usize, bStep: usize, n: i32, count: i32, k0: i32, K: i32, out: usize): void {
  const size = <usize>element_size(format)
  const dtype = format & 3
  if (format & PANELS) {
    if (layout == NT) {
      pack_panel(dtype, b + <usize>n * bStep + <usize>(k0 << 3) * size, K, out)
    } else {
      const from = b + <usize>k0 * bStep + <usize>(n << 3) * size
      pack_rows(dtype, from, 8 * size, 8 * bStep - 4 * size, count, K, out)
    }
  } else if (layout == NT) {
    pack_rows(dtype, b + <usize>n * bStep + <usize>k0 * size, bStep, 4 * size, count, K, out)
  } else {
    pack_columns(dtype, b + <usize>k0 * bStep + <usize>n * size, bStep, count, K, out)
  }
}

/** Packs A [K, M], k aStep bytes apart, into [M][K]. */
function pack_a(a: usize, aStep: usize, M: i32, K: i32, out: usize): void {
  for (let k = 0; k < K; k++) {
    let to = out + (<usize>k << 2)
    for (let m = 0; m < M; m++) {
      store<f32>(to, load<f32>(a + (<usize>m << 2)))
      to += <usize>K << 2
    }
    a += aStep
  }
}

/** `count` tiles of `rows` rows below each other against one panel. */
function column_of_tiles(rows: i32, count: i32, a: usize, aStep: usize, b: usize, bStep: usize, K: i32, c: usize, cStep: usize, raw: usize, alpha: f32, flags: i32): void {
  switch (rows) {
    case 5:
      tiles(5, false, count, a, aStep, 5 * aStep, b, bStep, 0, K, c, cStep, 5 * cStep, raw, RAW_STEP, 5 * RAW_STEP, alpha, flags)
      break
    case 4:
      tiles(4, false, count, a, aStep, 4 * aStep, b, bStep, 0, K, c, cStep, 4 * cStep, raw, RAW_STEP, 4 * RAW_STEP, alpha, flags)
      break
    case 3:
      tiles(3, false, count, a, aStep, 3 * aStep, b, bStep, 0, K, c, cStep, 3 * cStep, raw, RAW_STEP, 3 * RAW_STEP, alpha, flags)
      break
    case 2:
      tiles(2, false, count, a, aStep, 2 * aStep, b, bStep, 0, K, c, cStep, 2 * cStep, raw, RAW_STEP, 2 * RAW_STEP, alpha, flags)
      break
    default:
      tiles(1, false, count, a, aStep, aStep, b, bStep, 0, K, c, cStep, cStep, raw, RAW_STEP, RAW_STEP, alpha, flags)
  }
}

/** C = alpha·raw or C + alpha·raw where the last panel has fewer than eight columns. */
function finish_edge(raw: usize, c: usize, cStep: usize, M: i32, N: i32, alpha: f32, accumulate: i32): void {
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      const at = <usize>n << 2
      const value = alpha * load<f32>(raw + at)
      store<f32>(c + at, accumulate ? load<f32>(c + at) + value : value)
    }
    raw += RAW_STEP
    c += cStep
  }
}

function multiply(layout: i32, a: usize, aStep: usize, transposed: bool, b: usize, bStep: usize, format: i32, c: usize, cStep: usize, M: i32, N: i32, K: i32, alpha: f32, accumulate: i32, scratch: usize): void {
  const packedB = scratch + (RAW << 2)
  const packedA = packedB + (PACKED_B << 2)
  const direct = format == (F32 | PANELS) && layout == NT
  const mSize = share(M, ROWS, 1)
  const kSize = share(K, DEPTH, 8)
  for (let m = 0; m < M; m += mSize) {
    const rows = min(mSize, M - m)
    const tileCount = (rows + 4) / 5
    const height = rows / tileCount
    const tall = rows % tileCount
    for (let n = 0, width = 0; n < N; n += width) {
      width = N - n < 8 ? N - n : min(COLUMNS, (N - n) & ~7)
      const to = c + <usize>m * cStep + (<usize>n << 2)
      let k = 0
      do {
        const depth = min(kSize, K - k)
        let flags = k > 0 ? RESUME : 0
        flags |= k + depth < K || width < 8 ? LEAVE : accumulate ? ACCUMULATE : 0
        let block = a + <usize>m * aStep + (<usize>k << 2)
        let blockStep = aStep
        if (transposed) {
          pack_a(a + <usize>k * aStep + (<usize>m << 2), aStep, rows, depth, packedA)
          block = packedA
          blockStep = <usize>depth << 2
        }
        for (let j = 0; j < width; j += 8) {
          let panel = packedB
          if (direct) {
            panel = b + <usize>(n + j) * bStep + (<usize>k << 5)
          } else {
            pack_b(layout, format, b, bStep, n + j, min(8, width - j), k, depth, packedB)
          }
          const at = <usize>j << 2
          column_of_tiles(height + 1, tall, block, blockStep, panel, 32, depth, to + at, cStep, scratch + at, alpha, flags)
          const below = <usize>(tall * (height + 1))
          column_of_tiles(height, tileCount - tall, block + below * blockStep, blockStep, panel, 32, depth, to + at + below * cStep, cStep, scratch + at + below * RAW_STEP, alpha, flags)
        }
        k += depth
      } while (k < K)
      if (width < 8) {
        finish_edge(scratch, to, cStep, rows, width, alpha, accumulate)
      }
    }
  }
}

/** C [M, N] = A [M, K] · B [K, N]; see the head of this file. */
export function matmul_nn(
  a: usize,
  aOffset: i32,
  aStride: i32,
  b: usize,
  bOffset: i32,
  bStride: i32,
  bFormat: i32,
  c: usize,
  cOffset: i32,
  cStride: i32,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void {
  const size = <usize>element_size(bFormat)
  const aStart = a + (<usize>aOffset << 2)
  const bStart = b + <usize>bOffset * size
  const cStart = c + (<usize>cOffset << 2)
  const aStep = <usize>aStride << 2
  const cStep = <usize>cStride << 2
  multiply(NN, aStart, aStep, false, bStart, <usize>bStride * size, bFormat, cStart, cStep, M, N, K, alpha, accumulate, scratch)
}

/** C [M, N] = A [M, K] · B [N, K]ᵀ; see the head of this file. */
export function matmul_nt(
  a: usize,
  aOffset: i32,
  aStride: i32,
  b: usize,
  bOffset: i32,
  bStride: i32,
  bFormat: i32,
  c: usize,
  cOffset: i32,
  cStride: i32,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void {
  const size = <usize>element_size(bFormat)
  const aStart = a + (<usize>aOffset << 2)
  const bStart = b + <usize>bOffset * size
  const cStart = c + (<usize>cOffset << 2)
  const aStep = <usize>aStride << 2
  const cStep = <usize>cStride << 2
  multiply(NT, aStart, aStep, false, bStart, <usize>bStride * size, bFormat, cStart, cStep, M, N, K, alpha, accumulate, scratch)
}

/** C [M, N] = A [K, M]ᵀ · B [K, N]; see the head of this file. */
export function matmul_tn(
  a: usize,
  aOffset: i32,
  aStride: i32,
  b: usize,
  bOffset: i32,
  bStride: i32,
  bFormat: i32,
  c: usize,
  cOffset: i32,
  cStride: i32,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void {
  const size = <usize>element_size(bFormat)
  const aStart = a + (<usize>aOffset << 2)
  const bStart = b + <usize>bOffset * size
  const cStart = c + (<usize>cOffset << 2)
  const aStep = <usize>aStride << 2
  const cStep = <usize>cStride << 2
  multiply(NN, aStart, aStep, true, bStart, <usize>bStride * size, bFormat, cStart, cStep, M, N, K, alpha, accumulate, scratch)
}

// Products of f32 activations with f32, f16 or bf16 matrices, in rows or in panels:
//   matmul_nn   C [M, N] = A [M, K] · B [K, N]
//   matmul_nt   C [M, N] = A [M, K] · B [N, K]ᵀ
//   matmul_tn   C [M, N] = A [K, M]ᵀ · B [K, N]
//   v = alpha·Σ_k a·b,   C = v, or C + v with `accumulate`
// An element has one accumulator, from 0, k ascending, multiply then add: its bits depend on its row
// of A, its column of B and K alone. Blocks of K hand their raw sums on through `scratch`.
// Blocking: K. Goto, R. van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).

import { BF16, Brain, element_size, F16, F32, Half, PANELS } from './cast'
import { ACCUMULATE, COLUMNS, HEAD, Job, LEAVE, RAW_STEP, RESUME, ZEROS } from './job'
import { pack_a, pack_b } from './pack'
import { row_by_rows } from './row'
import { pair, single, tiles_rows, tiles_strips } from './tile'

// Rows of A in a block (its K block stays in L2) and k in a block (a panel of it stays in L1).
const ROWS: i32 = 320
const DEPTH: i32 = 512

// Scratch, in elements: the head, raw sums, packed panels of B, packed strips of A.
const RAW: i32 = ROWS * COLUMNS
const PACKED_B: i32 = DEPTH * 32
const PACKED_A: i32 = DEPTH * ROWS

// From this width on A is packed into strips, which saves the tile three pointers.
const WIDE: i32 = 64

// Up to this depth tiles follow each other along C's rows, above it down its columns.
const SHALLOW: i32 = 64

/** f32 elements of `scratch` that the products need. */
export function matmul_scratch(): i32 {
  return HEAD + RAW + PACKED_B + PACKED_A
}

/** The size of equal blocks of at most `limit`, a multiple of `unit`, that cover n. */
function share(n: i32, limit: i32, unit: i32): i32 {
  const blocks = max(1, (n + limit - 1) / limit)
  const size = (n + blocks - 1) / blocks
  return ((size + unit - 1) / unit) * unit
}

/** One row against panels in `dtype`. */
function one_row(
  job: Job,
  dtype: i32,
  panels: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  if (dtype == F32) {
    single<f32>(job, panels, a, b, c, raw)
  } else if (dtype == F16) {
    single<Half>(job, panels, a, b, c, raw)
  } else {
    single<Brain>(job, panels, a, b, c, raw)
  }
}

/** Two rows against panels in `dtype`. */
function two_rows(
  job: Job,
  dtype: i32,
  panels: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  if (dtype == F32) {
    pair<f32>(job, panels, a, b, c, raw)
  } else if (dtype == F16) {
    pair<Half>(job, panels, a, b, c, raw)
  } else {
    pair<Brain>(job, panels, a, b, c, raw)
  }
}

/** `count` tiles of four rows against f32 panels; A goes on `aTile` bytes from tile to tile. */
function many_rows(
  job: Job,
  strips: bool,
  aTile: usize,
  count: i32,
  panels: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  const along = job.depth <= SHALLOW
  const cTile = 4 * job.cRow
  job.aTile = along ? 0 : aTile
  job.bTile = along ? job.bNext : 0
  job.cTile = along ? 32 : cTile
  job.rawTile = along ? 32 : 4 * RAW_STEP
  const inner = along ? panels : count
  for (let i = along ? count : panels; i > 0; i--) {
    if (strips) {
      tiles_strips(job, inner, a, b, c, raw)
    } else {
      tiles_rows(job, inner, a, b, c, raw)
    }
    a += along ? aTile : 0
    b += along ? 0 : job.bNext
    c += along ? cTile : 32
    raw += along ? 4 * RAW_STEP : 32
  }
}

/** All rows of a block against `panels` panels: tiles of four rows, then two, then one. */
function sweep(
  job: Job,
  tn: bool,
  strips: usize,
  rows: i32,
  dtype: i32,
  panels: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  const aStep = job.aStep
  const count = rows >> 2
  if (count > 0 && strips) {
    job.aStep = 16
    many_rows(job, true, (<usize>job.depth) << 4, count, panels, strips, b, c, raw)
    job.aStep = aStep
  } else if (count > 0) {
    many_rows(job, tn, 4 * job.aRow, count, panels, a, b, c, raw)
  }
  a += <usize>(rows & ~3) * job.aRow
  c += <usize>(rows & ~3) * job.cRow
  raw += <usize>(rows & ~3) * RAW_STEP
  if (rows & 2) {
    two_rows(job, dtype, panels, a, b, c, raw)
    a += 2 * job.aRow
    c += 2 * job.cRow
    raw += 2 * RAW_STEP
  }
  if (rows & 1) {
    one_row(job, dtype, panels, a, b, c, raw)
  }
}

/** C = alpha·raw or C + alpha·raw where the last panel has fewer than eight columns. */
function finish_edge(
  raw: usize,
  c: usize,
  cRow: usize,
  M: i32,
  N: i32,
  alpha: f32,
  accumulate: i32,
): void {
  for (let m = 0; m < M; m++) {
    for (let n = 0; n < N; n++) {
      const at = (<usize>n) << 2
      const value = alpha * load<f32>(raw + at)
      store<f32>(c + at, accumulate ? load<f32>(c + at) + value : value)
    }
    raw += RAW_STEP
    c += cRow
  }
}

function multiply(
  nt: bool,
  tn: bool,
  a: usize,
  aStep: usize,
  b: usize,
  bStep: usize,
  format: i32,
  c: usize,
  cStep: usize,
  M: i32,
  N: i32,
  K: i32,
  alpha: f32,
  accumulate: i32,
  scratch: usize,
): void {
  if (nt && M == 1 && format == F32) {
    row_by_rows(a, b, bStep, c, N, K, alpha, accumulate, scratch)
    return
  }
  v128.store(scratch, i32x4.splat(0))
  v128.store(scratch, i32x4.splat(0), 16)
  v128.store(scratch, i32x4.splat(0), 32)
  v128.store(scratch, i32x4.splat(0), 48)
  const job = changetype<Job>(scratch + ZEROS)
  job.alpha = alpha
  job.cRow = cStep
  job.aRow = tn ? 4 : aStep
  const raw = scratch + (HEAD << 2)
  const packedB = raw + (RAW << 2)
  const packedA = packedB + (PACKED_B << 2)
  const size = <usize>element_size(format)
  const mSize = share(M, ROWS, 4)
  const panels = (format & PANELS) != 0
  for (let m = 0; m < M; m += mSize) {
    const rows = min(mSize, M - m)
    const inPlace = nt
      ? panels && (format == (F32 | PANELS) || rows < 4)
      : !panels && (rows < 4 || (rows == 4 && format == F32))
    const alone = nt && rows > 3
    const kSize = share(
      K,
      inPlace ? max(DEPTH, (PACKED_A / ((rows + 3) & ~3)) & ~7) : alone || rows >= 64 ? DEPTH : 192,
      8,
    )
    const nSize = K <= kSize ? N : COLUMNS
    for (let n = 0, width = 0; n < N; n += width) {
      width = N - n < 8 ? N - n : min(nSize, (N - n) & ~7)
      const direct = inPlace && (nt || width >= 8)
      const to = c + <usize>m * cStep + ((<usize>n) << 2)
      let k = 0
      do {
        const depth = min(kSize, K - k)
        job.depth = depth
        job.flags = k > 0 ? RESUME : 0
        job.flags |= k + depth < K || width < 8 ? LEAVE : accumulate ? ACCUMULATE : 0
        let block = tn
          ? a + <usize>k * aStep + ((<usize>m) << 2)
          : a + <usize>m * aStep + ((<usize>k) << 2)
        job.aStep = tn ? aStep : 4
        let strips: usize = 0
        if (rows > 3 && width >= (tn ? 16 : WIDE)) {
          strips = packedA
          pack_a(tn, block, aStep, rows >> 2, depth, packedA)
        }
        const group = direct
          ? width
          : depth <= SHALLOW
            ? (PACKED_B / max(depth, 1)) & ~7
            : alone
              ? 8
              : 32
        for (let j = 0; j < width; j += group) {
          const columns = min(group, width - j)
          let panel = packedB
          let dtype = F32
          if (nt) {
            panel = b + <usize>(n + j) * bStep + (panels ? (<usize>k) << 3 : <usize>k) * size
          } else {
            panel = b + <usize>k * bStep + (panels ? (<usize>(n + j)) << 3 : <usize>(n + j)) * size
          }
          if (direct) {
            dtype = format & 3
            job.bStep = nt ? 8 * size : bStep
            job.bNext = nt ? 8 * bStep : 8 * size
          } else {
            job.bStep = 32
            job.bNext = (<usize>depth) << 5
            pack_b(nt, format, panel, bStep, columns, depth, job.bNext, packedB)
            panel = packedB
          }
          const at = (<usize>j) << 2
          sweep(job, tn, strips, rows, dtype, (columns + 7) >> 3, block, panel, to + at, raw + at)
        }
        k += depth
      } while (k < K)
      if (width < 8) {
        finish_edge(raw, to, cStep, rows, width, alpha, accumulate)
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
  const aStart = a + ((<usize>aOffset) << 2)
  const bStart = b + <usize>bOffset * size
  const cStart = c + ((<usize>cOffset) << 2)
  const aStep = (<usize>aStride) << 2
  const cStep = (<usize>cStride) << 2
  multiply(
    false,
    false,
    aStart,
    aStep,
    bStart,
    <usize>bStride * size,
    bFormat,
    cStart,
    cStep,
    M,
    N,
    K,
    alpha,
    accumulate,
    scratch,
  )
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
  const aStart = a + ((<usize>aOffset) << 2)
  const bStart = b + <usize>bOffset * size
  const cStart = c + ((<usize>cOffset) << 2)
  const aStep = (<usize>aStride) << 2
  const cStep = (<usize>cStride) << 2
  multiply(
    true,
    false,
    aStart,
    aStep,
    bStart,
    <usize>bStride * size,
    bFormat,
    cStart,
    cStep,
    M,
    N,
    K,
    alpha,
    accumulate,
    scratch,
  )
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
  const aStart = a + ((<usize>aOffset) << 2)
  const bStart = b + <usize>bOffset * size
  const cStart = c + ((<usize>cOffset) << 2)
  const aStep = (<usize>aStride) << 2
  const cStep = (<usize>cStride) << 2
  multiply(
    false,
    true,
    aStart,
    aStep,
    bStart,
    <usize>bStride * size,
    bFormat,
    cStart,
    cStep,
    M,
    N,
    K,
    alpha,
    accumulate,
    scratch,
  )
}

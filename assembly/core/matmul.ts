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
import { pack_b, pack_strips } from './pack'
import { columns_of_3, columns_of_4, pair, rows_of_3, rows_of_4, single } from './tile'

// Rows of A in a block (its K block stays in L2) and k in a block (a panel of it stays in L1).
const ROWS: i32 = 320
const DEPTH: i32 = 512

// Scratch, in elements: the head, raw sums, packed panels of B, packed strips of A.
const RAW: i32 = ROWS * COLUMNS
const PACKED_B: i32 = DEPTH * 32
const PACKED_A: i32 = DEPTH * ROWS

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

/** One or two rows against panels in `dtype`. */
function few_rows(
  job: Job,
  R: i32,
  dtype: i32,
  panels: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  if (R == 1) {
    if (dtype == F32) {
      single<f32>(job, panels, a, b, c, raw)
    } else if (dtype == F16) {
      single<Half>(job, panels, a, b, c, raw)
    } else {
      single<Brain>(job, panels, a, b, c, raw)
    }
  } else if (dtype == F32) {
    pair<f32>(job, panels, a, b, c, raw)
  } else if (dtype == F16) {
    pair<Half>(job, panels, a, b, c, raw)
  } else {
    pair<Brain>(job, panels, a, b, c, raw)
  }
}

/** `count` tiles of R = 3 or 4 rows, by which A goes on `aTile` bytes, against f32 panels. */
function many_rows(
  job: Job,
  columns: bool,
  R: i32,
  aTile: usize,
  count: i32,
  panels: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  const along = job.depth <= SHALLOW
  const cTile = <usize>R * job.cRow
  const rawTile = <usize>R * RAW_STEP
  job.aTile = along ? 0 : aTile
  job.bTile = along ? job.bNext : 0
  job.cTile = along ? 32 : cTile
  job.rawTile = along ? 32 : rawTile
  const inner = along ? panels : count
  for (let i = along ? count : panels; i > 0; i--) {
    if (columns) {
      if (R == 4) {
        columns_of_4(job, inner, a, b, c, raw)
      } else {
        columns_of_3(job, inner, a, b, c, raw)
      }
    } else if (R == 4) {
      rows_of_4(job, inner, a, b, c, raw)
    } else {
      rows_of_3(job, inner, a, b, c, raw)
    }
    a += along ? aTile : 0
    b += along ? 0 : job.bNext
    c += along ? cTile : 32
    raw += along ? rawTile : 32
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

/** All rows of a block against `panels` panels. */
function sweep(
  job: Job,
  columns: bool,
  packed: bool,
  rows: i32,
  dtype: i32,
  panels: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  const count = (rows + 3) >> 2
  let R = rows / count
  let tall = rows - R * count
  let short = count - tall
  // The tall tiles are R + 1 rows high.
  for (let kind = 0; kind < 2; kind++) {
    const tiles = kind == 0 ? tall : short
    const height = kind == 0 ? R + 1 : R
    if (tiles > 0) {
      let aTile = <usize>height * job.aRow
      if (packed) {
        aTile = (<usize>(height * job.depth)) << 2
        job.aStep = height << 2
      }
      if (height < 3) {
        few_rows(job, height, dtype, panels, a, b, c, raw)
      } else {
        many_rows(job, columns, height, aTile, tiles, panels, a, b, c, raw)
      }
      a += <usize>tiles * aTile
      c += <usize>(tiles * height) * job.cRow
      raw += <usize>(tiles * height) * RAW_STEP
    }
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
  const mSize = share(M, ROWS, 1)
  const kSize = share(K, DEPTH, 8)
  const nSize = K <= kSize ? N : COLUMNS
  const panels = (format & PANELS) != 0
  for (let m = 0; m < M; m += mSize) {
    const rows = min(mSize, M - m)
    for (let n = 0, width = 0; n < N; n += width) {
      width = N - n < 8 ? N - n : min(nSize, (N - n) & ~7)
      let direct = false
      if (nt) {
        direct = panels && (format == (F32 | PANELS) || rows < 3)
      } else {
        direct = !panels && width >= 8 && (rows < 3 || (rows <= 4 && format == F32))
      }
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
        const packed = tn && rows > 2 && width > 8
        if (packed) {
          const count = (rows + 3) >> 2
          const R = rows / count
          const tall = rows - R * count
          pack_strips(R + 1, block, aStep, tall, depth, packedA)
          pack_strips(
            R,
            block + <usize>((tall * (R + 1)) << 2),
            aStep,
            count - tall,
            depth,
            packedA + <usize>((tall * (R + 1) * depth) << 2),
          )
          block = packedA
        }
        const group = direct ? width : (PACKED_B / max(depth, 1)) & ~7
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
          sweep(job, tn, packed, rows, dtype, (columns + 7) >> 3, block, panel, to + at, raw + at)
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

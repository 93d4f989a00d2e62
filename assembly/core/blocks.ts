// The blocks of a product: which rows, columns and k are computed together, what is packed for them
// and which register tile computes them.
//   rows      up to ROWS at a time, so that their K block of A stays in the second cache level
//   columns   all, or COLUMNS at a time where raw sums are handed on from one K block to the next
//   k         up to DEPTH at a time, so that a panel of B stays in the first cache level
// Blocking: K. Goto, R. van de Geijn, "Anatomy of high-performance matrix multiplication" (2008).

import { Brain, element_size, F16, F32, Half, PANELS } from './cast'
import { COLUMNS, DEPTH, GROUP, Job, LEAVE, PACKED_A, PACKED_B, RAW_STEP, RESUME, ROWS } from './job'
import { pack_b } from './pack'
import { pack_a } from './strips'
import { pair, single, tiles_ahead, tiles_rows, tiles_strips } from './tile'

// From this width on A is packed into strips, which saves the tile three pointers; a transposed A
// saves walking down its columns as well.
const WIDE: i32 = 64
const WIDE_TN: i32 = 16

// Up to this depth tiles follow each other along C's rows, above it down its columns.
const SHALLOW: i32 = 32

// From this many elements on, B in place comes from beyond the second cache level. The first tiles of a
// panel, so many, then read ahead, unless there are but one or two, which are as slow as memory.
const FAR: i32 = 1 << 20
const AHEAD: i32 = 4

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

/**
 * `count` tiles down a panel, of which the first touch the panel after it at `next`, each its share of the
 * cache lines: memory is read while tiles compute, instead of between them. All tiles would lose by it.
 */
function tiles_far(
  job: Job,
  next: usize,
  count: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  const touching = min(count, AHEAD)
  job.ahead = next
  job.aheadStep = 32 / <usize>touching
  tiles_ahead(job, touching, a, b, c, raw)
  if (touching < count) {
    const done = <usize>touching
    a += done * job.aTile
    c += done * job.cTile
    raw += done * job.rawTile
    tiles_strips(job, count - touching, a, b, c, raw)
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
  const far = job.far && strips && !along && count > 2
  for (let i = along ? count : panels; i > 0; i--) {
    if (far) {
      tiles_far(job, i > 1 ? b + job.bNext : b, inner, a, b, c, raw)
    } else if (strips) {
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
  packed: bool,
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
  if (packed) {
    job.aStep = 16
    many_rows(job, true, (<usize>job.depth) << 4, count, panels, job.packedA, b, c, raw)
    job.aStep = aStep
  } else if (count > 0) {
    // In a transposed A four rows lie side by side, as in a strip.
    many_rows(job, job.aRow == 4, 4 * job.aRow, count, panels, a, b, c, raw)
  }
  const done = <usize>(rows & ~3)
  a += done * job.aRow
  c += done * job.cRow
  raw += done * RAW_STEP
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

/** The first byte of B's columns from n and its k from k. */
function b_at(job: Job, n: i32, k: i32): usize {
  const size = <usize>element_size(job.format)
  const lanes = job.format & PANELS ? 8 * size : size
  if (job.transposed) {
    return job.b + <usize>n * job.bRow + <usize>k * lanes
  }
  return job.b + <usize>k * job.bRow + <usize>n * lanes
}

/** Whether the tiles can read B where it is: few rows in any format, more in f32 panels alone. */
function reads_in_place(job: Job, rows: i32, width: i32): bool {
  if (job.transposed) {
    return job.format == (F32 | PANELS) || (job.format & PANELS && rows < 4)
  }
  return !(job.format & PANELS) && rows < 4 && width >= 8
}

/** All columns of a block, B read in place. */
function columns_in_place(
  job: Job,
  packed: bool,
  rows: i32,
  n: i32,
  width: i32,
  k: i32,
  a: usize,
  c: usize,
): void {
  const size = <usize>element_size(job.format)
  job.bStep = job.transposed ? 8 * size : job.bRow
  job.bNext = job.transposed ? 8 * job.bRow : 8 * size
  sweep(job, packed, rows, job.format & 3, (width + 7) >> 3, a, b_at(job, n, k), c, job.raw)
}

/**
 * All columns of a block, B packed group by group: one panel that stays in the first cache level, or
 * as many as share cache lines, or are needed to overlap additions.
 */
function columns_packed(
  job: Job,
  packed: bool,
  rows: i32,
  n: i32,
  width: i32,
  k: i32,
  a: usize,
  c: usize,
): void {
  const depth = job.depth
  job.bStep = 32
  job.bNext = (<usize>depth) << 5
  let group = job.transposed && rows > 3 ? 8 : GROUP
  if (depth <= SHALLOW) {
    group = (PACKED_B / max(depth, 1)) & ~7
  }
  for (let j = 0; j < width; j += group) {
    const columns = min(group, width - j)
    const from = b_at(job, n + j, k)
    pack_b(job.transposed, job.format, from, job.bRow, columns, depth, job.bNext, job.packedB)
    const at = (<usize>j) << 2
    sweep(job, packed, rows, F32, (columns + 7) >> 3, a, job.packedB, c + at, job.raw + at)
  }
}

/** C = alpha·raw or C + alpha·raw where the last panel has fewer than eight columns. */
function finish_edge(job: Job, c: usize, rows: i32, width: i32): void {
  let raw = job.raw
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < width; n++) {
      const at = (<usize>n) << 2
      const value = job.alpha * load<f32>(raw + at)
      store<f32>(c + at, job.accumulate ? load<f32>(c + at) + value : value)
    }
    raw += RAW_STEP
    c += job.cRow
  }
}

/** Rows m … m + rows − 1 and columns n … n + width − 1 of C, over all of K. */
function block(job: Job, m: i32, rows: i32, n: i32, width: i32, kSize: i32): void {
  const inPlace = reads_in_place(job, rows, width)
  const packed = rows > 3 && width >= (job.aRow == 4 ? WIDE_TN : WIDE)
  const c = job.c + <usize>m * job.cRow + ((<usize>n) << 2)
  let k = 0
  do {
    const depth = min(inPlace ? kSize : min(kSize, DEPTH), job.K - k)
    job.depth = depth
    job.flags = k > 0 ? RESUME : 0
    job.flags |= k + depth < job.K || width < 8 ? LEAVE : job.accumulate
    const a = job.a + <usize>m * job.aRow + <usize>k * job.aStep
    if (packed) {
      pack_a(job.aRow == 4, a, job.aRow == 4 ? job.aStep : job.aRow, rows >> 2, depth, job.packedA)
    }
    if (inPlace) {
      columns_in_place(job, packed, rows, n, width, k, a, c)
    } else {
      columns_packed(job, packed, rows, n, width, k, a, c)
    }
    k += depth
  } while (k < job.K)
  if (width < 8) {
    finish_edge(job, c, rows, width)
  }
}

/** All blocks of C. */
export function multiply(job: Job, M: i32, N: i32, K: i32): void {
  const mSize = share(M, ROWS, 4)
  for (let m = 0; m < M; m += mSize) {
    const rows = min(mSize, M - m)
    // A panel of B in place is read in one go as long as the strips of A fit into scratch.
    const inPlace = reads_in_place(job, rows, 8)
    const deep = inPlace ? max(DEPTH, (PACKED_A / rows) & ~31) : DEPTH
    job.far = inPlace && K * N >= FAR
    const kSize = share(K, deep, 8)
    const nSize = K <= kSize ? N : COLUMNS
    for (let n = 0, width = 0; n < N; n += width) {
      width = N - n < 8 ? N - n : min(nSize, (N - n) & ~7)
      block(job, m, rows, n, width, kSize)
    }
  }
}

// Packing of operands of a product, so that the register tile reads straight streams:
//   B into f32 panels [K][8]: eight columns of the product side by side, k ascending
//   A, where its rows are columns in memory (tn), into strips [K][R]
// A panel of fewer than eight columns repeats its last column or leaves the rest as it was: those
// lanes are computed and never stored.

import {
  Brain,
  element_size,
  F16,
  F32,
  Half,
  load1,
  load4,
  load_high,
  load_low,
  PANELS,
  widen,
} from './cast'

/** Stores the transpose of four rows of four as rows 32 bytes apart. */
@inline
function store_transposed(r0: v128, r1: v128, r2: v128, r3: v128, out: usize): void {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5)
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5)
  v128.store(out, v128.shuffle<f64>(low01, low23, 0, 2))
  v128.store(out, v128.shuffle<f64>(low01, low23, 1, 3), 32)
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7)
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7)
  v128.store(out, v128.shuffle<f64>(high01, high23, 0, 2), 64)
  v128.store(out, v128.shuffle<f64>(high01, high23, 1, 3), 96)
}

/** Four k of eight columns. */
@inline
function pack8x4<T>(
  b0: usize,
  b1: usize,
  b2: usize,
  b3: usize,
  b4: usize,
  b5: usize,
  b6: usize,
  b7: usize,
  out: usize,
): void {
  store_transposed(load4<T>(b0), load4<T>(b1), load4<T>(b2), load4<T>(b3), out)
  store_transposed(load4<T>(b4), load4<T>(b5), load4<T>(b6), load4<T>(b7), out + 16)
}

/**
 * A panel [K][8] from `count` <= 8 rows of K elements, `step` bytes apart, of which each eighth
 * element lies `next` bytes after the one before: 8 elements where rows are contiguous.
 */
export function pack_rows<T>(b: usize, step: usize, next: usize, count: i32, K: i32, out: usize): void {
  let b0 = b
  let b1 = b + <usize>min(1, count - 1) * step
  let b2 = b + <usize>min(2, count - 1) * step
  let b3 = b + <usize>min(3, count - 1) * step
  let b4 = b + <usize>min(4, count - 1) * step
  let b5 = b + <usize>min(5, count - 1) * step
  let b6 = b + <usize>min(6, count - 1) * step
  let b7 = b + <usize>min(7, count - 1) * step
  let k = 0
  for (; k < (K & ~7); k += 8) {
    pack8x4<T>(b0, b1, b2, b3, b4, b5, b6, b7, out)
    const half = 4 * sizeof<T>()
    pack8x4<T>(
      b0 + half,
      b1 + half,
      b2 + half,
      b3 + half,
      b4 + half,
      b5 + half,
      b6 + half,
      b7 + half,
      out + 128,
    )
    out += 256
    b0 += next
    b1 += next
    b2 += next
    b3 += next
    b4 += next
    b5 += next
    b6 += next
    b7 += next
  }
  for (; k < K; k++) {
    for (let lane = 0; lane < count; lane++) {
      store<f32>(out + ((<usize>lane) << 2), load1<T>(b0 + <usize>lane * step))
    }
    out += 32
    b0 += sizeof<T>()
  }
}

/** A panel [K][8] from `count` <= 8 columns of K rows, `step` bytes apart. */
export function pack_columns<T>(b: usize, step: usize, count: i32, K: i32, out: usize): void {
  if (count == 8) {
    for (let k = 0; k < K; k++) {
      v128.store(out, load_low<T>(b))
      v128.store(out, load_high<T>(b), 16)
      out += 32
      b += step
    }
    return
  }
  for (let k = 0; k < K; k++) {
    for (let lane = 0; lane < count; lane++) {
      store<f32>(out + ((<usize>lane) << 2), load1<T>(b + <usize>lane * sizeof<T>()))
    }
    out += 32
    b += step
  }
}

// With B [K, N] the panels of a group are packed together, so many k at a time, since they share
// the cache lines of a row.
const CHUNK: i32 = 32

/** Panels of `columns` columns of B [K, N] from b, `panel` bytes apart, from rows or from panels of B. */
function pack_nn<T>(
  panels: bool,
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  for (let k = 0; k < K; k += CHUNK) {
    const depth = min(CHUNK, K - k)
    let to = out + ((<usize>k) << 5)
    for (let n = 0; n < columns; n += 8) {
      const count = min(8, columns - n)
      const row = b + <usize>k * bStep
      if (panels) {
        pack_rows<T>(
          row + <usize>(n << 3) * sizeof<T>(),
          8 * sizeof<T>(),
          8 * bStep,
          count,
          depth,
          to,
        )
      } else {
        pack_columns<T>(row + <usize>n * sizeof<T>(), bStep, count, depth, to)
      }
      to += panel
    }
  }
}

/** Panels of `columns` columns of B [N, K]ᵀ from b, `panel` bytes apart, from rows or from panels of B. */
function pack_nt<T>(
  panels: bool,
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  for (let n = 0; n < columns; n += 8) {
    if (panels) {
      widen(b, isSigned<T>() ? 2 : 1, out, K << 3)
    } else {
      pack_rows<T>(b, bStep, 8 * sizeof<T>(), min(8, columns - n), K, out)
    }
    b += 8 * bStep
    out += panel
  }
}

/** Strips [K][R] of A [K, M], `count` of them from a, k aStep bytes apart. */
export function pack_strips(R: i32, a: usize, aStep: usize, count: i32, K: i32, out: usize): void {
  for (let k = 0; k < K; k += CHUNK) {
    const depth = min(CHUNK, K - k)
    for (let strip = 0; strip < count; strip++) {
      let from = a + <usize>k * aStep + <usize>((strip * R) << 2)
      let to = out + <usize>(((strip * K + k) * R) << 2)
      for (let i = 0; i < depth; i++) {
        if (R == 4) {
          v128.store(to, v128.load(from))
        } else {
          for (let lane = 0; lane < R; lane++) {
            store<f32>(to + ((<usize>lane) << 2), load<f32>(from + ((<usize>lane) << 2)))
          }
        }
        from += aStep
        to += R << 2
      }
    }
  }
}

function pack_as<T>(
  nt: bool,
  panels: bool,
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  if (nt) {
    pack_nt<T>(panels, b, bStep, columns, K, panel, out)
  } else {
    pack_nn<T>(panels, b, bStep, columns, K, panel, out)
  }
}

/**
 * Panels [K][8], `panel` bytes apart, of `columns` columns of B [N, K]ᵀ (nt) or B [K, N] in `format`;
 * b is the byte at which they begin, bStep the bytes of a stored row.
 */
export function pack_b(
  nt: bool,
  format: i32,
  b: usize,
  bStep: usize,
  columns: i32,
  K: i32,
  panel: usize,
  out: usize,
): void {
  const dtype = format & 3
  const panels = (format & PANELS) != 0
  if (dtype == F32) {
    pack_as<f32>(nt, panels, b, bStep, columns, K, panel, out)
  } else if (dtype == F16) {
    pack_as<Half>(nt, panels, b, bStep, columns, K, panel, out)
  } else {
    pack_as<Brain>(nt, panels, b, bStep, columns, K, panel, out)
  }
}

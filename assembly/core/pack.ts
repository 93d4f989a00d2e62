// Packing of the right operand of a product into f32 panels [K][8]: eight columns of the product
// side by side, k ascending, so that the register tile reads one straight stream.
// A panel with fewer than eight columns repeats its last column or leaves the rest as it was: those
// lanes are computed and never stored.

import { BF16, element_size, F16, F32, load1, load4, widen, widen_high, widen_low } from './cast'

/** Stores the transpose of four rows of four as rows 32 bytes apart. */
@inline
function store_transposed(r0: v128, r1: v128, r2: v128, r3: v128, out: usize): void {
  const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5)
  const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5)
  const high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7)
  const high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7)
  v128.store(out, v128.shuffle<f64>(low01, low23, 0, 2))
  v128.store(out, v128.shuffle<f64>(low01, low23, 1, 3), 32)
  v128.store(out, v128.shuffle<f64>(high01, high23, 0, 2), 64)
  v128.store(out, v128.shuffle<f64>(high01, high23, 1, 3), 96)
}

/** Four columns of the panel, four k: rows b, b + s1, b + s2, b + s3. */
@inline
function pack4x4(format: i32, b: usize, s1: usize, s2: usize, s3: usize, out: usize): void {
  const r0 = load4(format, b)
  const r1 = load4(format, b + s1)
  const r2 = load4(format, b + s2)
  const r3 = load4(format, b + s3)
  store_transposed(r0, r1, r2, r3, out)
}

@inline
function pack_rows_as(format: i32, b: usize, step: usize, next: usize, count: i32, K: i32, out: usize): void {
  const size = <usize>element_size(format)
  const s1 = <usize>min(1, count - 1) * step
  const s2 = <usize>min(2, count - 1) * step
  const s3 = <usize>min(3, count - 1) * step
  const s4 = <usize>min(4, count - 1) * step
  const s5 = <usize>min(5, count - 1) * step - s4
  const s6 = <usize>min(6, count - 1) * step - s4
  const s7 = <usize>min(7, count - 1) * step - s4
  let k = 0
  for (; k < (K & ~3); k += 4) {
    pack4x4(format, b, s1, s2, s3, out)
    pack4x4(format, b + s4, s5, s6, s7, out + 16)
    out += 128
    b += (k & 4) == 0 ? 4 * size : next
  }
  for (; k < K; k++) {
    for (let lane = 0; lane < count; lane++) {
      store<f32>(out + (<usize>lane << 2), load1(format, b + <usize>lane * step))
    }
    out += 32
    b += size
  }
}

/**
 * A panel [K][8] from `count` <= 8 rows of K elements, `step` bytes apart. `next` is the way in bytes
 * from the fifth to the ninth element of a row: 4 elements where rows are contiguous.
 */
export function pack_rows(
  format: i32,
  b: usize,
  step: usize,
  next: usize,
  count: i32,
  K: i32,
  out: usize,
): void {
  if (format == F32) {
    pack_rows_as(F32, b, step, next, count, K, out)
  } else if (format == F16) {
    pack_rows_as(F16, b, step, next, count, K, out)
  } else {
    pack_rows_as(BF16, b, step, next, count, K, out)
  }
}

@inline
function pack_columns_as(format: i32, b: usize, step: usize, count: i32, K: i32, out: usize): void {
  const size = <usize>element_size(format)
  for (let k = 0; k < K; k++) {
    if (count == 8 && format == F32) {
      v128.store(out, v128.load(b))
      v128.store(out, v128.load(b, 16), 16)
    } else if (count == 8) {
      const halves = v128.load(b)
      v128.store(out, widen_low(format, halves))
      v128.store(out, widen_high(format, halves), 16)
    } else {
      for (let lane = 0; lane < count; lane++) {
        store<f32>(out + (<usize>lane << 2), load1(format, b + <usize>lane * size))
      }
    }
    out += 32
    b += step
  }
}

/** A panel [K][8] from `count` <= 8 columns of K rows, `step` bytes apart. */
export function pack_columns(
  format: i32,
  b: usize,
  step: usize,
  count: i32,
  K: i32,
  out: usize,
): void {
  if (format == F32) {
    pack_columns_as(F32, b, step, count, K, out)
  } else if (format == F16) {
    pack_columns_as(F16, b, step, count, K, out)
  } else {
    pack_columns_as(BF16, b, step, count, K, out)
  }
}

/** A panel [K][8] in f32 from a panel in another format. */
export function pack_panel(format: i32, b: usize, K: i32, out: usize): void {
  widen(b, format, out, K << 3)
}

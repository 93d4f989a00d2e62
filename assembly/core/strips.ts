// Packing of the left operand of a product into strips [K][4]: four rows of the product side by side,
// k ascending, so that the register tile follows one pointer.

import { store_transposed } from './pack'

/** `count` strips [K][4] of four columns each of A [K, M], k aStep bytes apart. */
function pack_strips_tn(a: usize, aStep: usize, count: i32, K: i32, out: usize): void {
  const next = (<usize>K) << 4
  let k = 0
  // Four k at a time write a whole cache line of a strip.
  for (; k < (K & ~3); k += 4) {
    let row0 = a + <usize>k * aStep
    let row1 = row0 + aStep
    let row2 = row1 + aStep
    let row3 = row2 + aStep
    let to = out + ((<usize>k) << 4)
    for (let strip = 0; strip < count; strip++) {
      v128.store(to, v128.load(row0))
      v128.store(to, v128.load(row1), 16)
      v128.store(to, v128.load(row2), 32)
      v128.store(to, v128.load(row3), 48)
      row0 += 16
      row1 += 16
      row2 += 16
      row3 += 16
      to += next
    }
  }
  for (; k < K; k++) {
    const row = a + <usize>k * aStep
    for (let strip = 0; strip < count; strip++) {
      v128.store(
        out + <usize>strip * next + ((<usize>k) << 4),
        v128.load(row + ((<usize>strip) << 4)),
      )
    }
  }
}

/** A strip [K][4] of four rows of A [M, K], aStep bytes apart. */
function pack_strip_nt(a: usize, aStep: usize, K: i32, out: usize): void {
  let row0 = a
  let row1 = row0 + aStep
  let row2 = row1 + aStep
  let row3 = row2 + aStep
  let k = 0
  for (; k < (K & ~3); k += 4) {
    store_transposed(false, v128.load(row0), v128.load(row1), v128.load(row2), v128.load(row3), out)
    out += 64
    row0 += 16
    row1 += 16
    row2 += 16
    row3 += 16
  }
  for (; k < K; k++) {
    store<f32>(out, load<f32>(row0))
    store<f32>(out, load<f32>(row1), 4)
    store<f32>(out, load<f32>(row2), 8)
    store<f32>(out, load<f32>(row3), 12)
    out += 16
    row0 += 4
    row1 += 4
    row2 += 4
    row3 += 4
  }
}

/** `count` strips [K][4] of four rows each of A [M, K], or of four columns of A [K, M] (tn). */
export function pack_a(tn: bool, a: usize, aStep: usize, count: i32, K: i32, out: usize): void {
  if (tn) {
    pack_strips_tn(a, aStep, count, K, out)
    return
  }
  for (let strip = 0; strip < count; strip++) {
    pack_strip_nt(a, aStep, K, out)
    a += 4 * aStep
    out += (<usize>K) << 4
  }
}

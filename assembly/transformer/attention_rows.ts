// One row of attention scores, s[j] for key j: which keys its query may see, masks, and the softmax.
// The sum of a row is blocked in one fixed way, aligned at key 0 (128 keys, eight f32 lanes, key j
// in lane j % 8; the blocks in f64), and a key that is not seen adds a zero: the bits of a row depend
// on its query and its keys alone, not on the tile of queries it is computed in.

import { exp_f32x4, tanh_f32x4 } from '../core/math'

/** Up to a multiple of eight, the width of a panel. */
@inline
export function round_up(n: i32): i32 {
  return (n + 7) & ~7
}

export const NO_MASK: i32 = 0
/** f32, added to the scores. */
export const ADDITIVE: i32 = 1
/** i32, 0 where a key must not be seen. */
export const BOOLEAN: i32 = 2

const BLOCK: i32 = 128

/** The first key that the query at `position` sees; window 0 is none. */
@inline
export function first_key(position: i32, window: i32): i32 {
  return window > 0 ? max(0, position - window + 1) : 0
}

/** The key after the last one that the query at `position` sees. */
@inline
export function end_key(position: i32, causal: i32, Tk: i32): i32 {
  return causal ? min(Tk, position + 1) : Tk
}

/** s = cap tanh(s / cap) for start <= j < end; the slopes 1 - tanh² go to `slopes` unless it is 0. */
export function cap_row(s: usize, slopes: usize, start: i32, end: i32, cap: f32): void {
  const caps = f32x4.splat(cap)
  const one = f32x4.splat(1)
  for (let j = start; j < end; j += 4) {
    const at = <usize>j << 2
    const t = tanh_f32x4(f32x4.div(v128.load(s + at), caps))
    v128.store(s + at, f32x4.mul(caps, t))
    if (slopes) {
      v128.store(slopes + at, f32x4.sub(one, f32x4.mul(t, t)))
    }
  }
}

@inline
function fill_hidden(s: usize, from: i32, to: i32): void {
  for (let j = from; j < to; j++) {
    store<f32>(s + (<usize>j << 2), -Infinity)
  }
}

@inline
function masked(kind: i32, score: v128, mask: v128): v128 {
  if (kind == ADDITIVE) {
    return f32x4.add(score, mask)
  }
  const hidden = i32x4.eq(mask, i32x4.splat(0))
  return v128.bitselect(f32x4.splat(-Infinity), score, hidden)
}

@inline
function mask_as(kind: i32, s: usize, first: i32, last: i32, mask: usize, column: i32): void {
  let j = first
  if (column == 1) {
    for (; j <= last - 4; j += 4) {
      const at = <usize>j << 2
      v128.store(s + at, masked(kind, v128.load(s + at), v128.load(mask + at)))
    }
  }
  for (; j < last; j++) {
    const at = s + (<usize>j << 2)
    const element = v128.load32_splat(mask + (<usize>(j * column) << 2))
    v128.store_lane<f32>(at, masked(kind, v128.load32_splat(at), element), 0)
  }
}

/**
 * Hides keys outside first <= j < last, of those from `start` to `end`, and applies the mask's row.
 */
export function mask_row(
  s: usize,
  start: i32,
  end: i32,
  first: i32,
  last: i32,
  mask: usize,
  kind: i32,
  column: i32,
): void {
  fill_hidden(s, start, min(first, end))
  fill_hidden(s, max(last, start), end)
  if (kind == ADDITIVE) {
    mask_as(ADDITIVE, s, first, last, mask, column)
  } else if (kind == BOOLEAN) {
    mask_as(BOOLEAN, s, first, last, mask, column)
  }
}

/** The largest score for start <= j < end (multiples of 8); NaN if there is one. */
export function row_peak(s: usize, start: i32, end: i32): f32 {
  let peaks = f32x4.splat(-Infinity)
  for (let j = start; j < end; j += 8) {
    const at = <usize>j << 2
    peaks = f32x4.max(peaks, f32x4.max(v128.load(s + at), v128.load(s + at, 16)))
  }
  peaks = f32x4.max(peaks, i64x2.shuffle(peaks, peaks, 1, 0))
  return max(f32x4.extract_lane(peaks, 0), f32x4.extract_lane(peaks, 1))
}

/** s = e^(s - peak) for start <= j < end (multiples of 8); their sum. */
export function exp_row(s: usize, start: i32, end: i32, peak: f32): f64 {
  const peaks = f32x4.splat(peak)
  let total: f64 = 0
  let j = start
  while (j < end) {
    const stop = min((j & -BLOCK) + BLOCK, end)
    let sum0 = f32x4.splat(0)
    let sum1 = sum0
    for (; j < stop; j += 8) {
      const at = s + (<usize>j << 2)
      const e0 = exp_f32x4(f32x4.sub(v128.load(at), peaks))
      const e1 = exp_f32x4(f32x4.sub(v128.load(at, 16), peaks))
      v128.store(at, e0)
      v128.store(at, e1, 16)
      sum0 = f32x4.add(sum0, e0)
      sum1 = f32x4.add(sum1, e1)
    }
    const sum = f32x4.add(sum0, sum1)
    const low = f64x2.promote_low_f32x4(sum)
    const high = f64x2.promote_low_f32x4(i64x2.shuffle(sum, sum, 1, 0))
    const both = f64x2.add(low, high)
    total += f64x2.extract_lane(both, 0) + f64x2.extract_lane(both, 1)
  }
  return total
}

/** s = e^(s - lse) for start <= j < end (multiples of 8). */
export function weight_row(s: usize, start: i32, end: i32, lse: f32): void {
  const shift = f32x4.splat(lse)
  for (let j = start; j < end; j += 4) {
    const at = s + (<usize>j << 2)
    v128.store(at, exp_f32x4(f32x4.sub(v128.load(at), shift)))
  }
}

/** y[i] *= factor for i < n. */
export function scale_row(y: usize, factor: f32, n: i32): void {
  const factors = f32x4.splat(factor)
  let i = 0
  for (; i <= n - 4; i += 4) {
    const at = y + (<usize>i << 2)
    v128.store(at, f32x4.mul(v128.load(at), factors))
  }
  for (; i < n; i++) {
    const at = y + (<usize>i << 2)
    store<f32>(at, load<f32>(at) * factor)
  }
}

/** ds = p (dp - along) for start <= j < end (a multiple of 4 apart), in the place of dp. */
export function score_gradient_row(p: usize, dp: usize, start: i32, end: i32, along: f32): void {
  const shift = f32x4.splat(along)
  for (let j = start; j < end; j += 4) {
    const at = <usize>j << 2
    const centered = f32x4.sub(v128.load(dp + at), shift)
    v128.store(dp + at, f32x4.mul(v128.load(p + at), centered))
  }
}

/** s *= slopes for start <= j < end (a multiple of 4 apart). */
export function multiply_row(s: usize, slopes: usize, start: i32, end: i32): void {
  for (let j = start; j < end; j += 4) {
    const at = <usize>j << 2
    v128.store(s + at, f32x4.mul(v128.load(s + at), v128.load(slopes + at)))
  }
}

/** dmask[j column] += ds[j] for first <= j < last. */
export function add_mask_gradient(ds: usize, dmask: usize, column: i32, first: i32, last: i32): void {
  for (let j = first; j < last; j++) {
    const at = dmask + (<usize>(j * column) << 2)
    store<f32>(at, load<f32>(at) + load<f32>(ds + (<usize>j << 2)))
  }
}

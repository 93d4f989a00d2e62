// y = silu(gate) up, silu(x) = x σ(x);  dgate = dy up silu'(gate),  dup = dy silu(gate).
// gate and up are parts of matrices: an offset, and the distance between rows, in elements.

import { load_first, store_first } from '../core/lanes'
import { sigmoid_f32x4 } from '../core/math'
import { silu_slope } from '../elementwise/silu'

/** y [rows, cols]. */
export function swiglu(
  gate: usize,
  gateOffset: i32,
  gateStride: i32,
  up: usize,
  upOffset: i32,
  upStride: i32,
  y: usize,
  rows: i32,
  cols: i32,
): void {
  gate += <usize>gateOffset << 2
  up += <usize>upOffset << 2
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < cols; i += 4) {
      const at = <usize>i << 2
      const left = cols - i
      const x = load_first(gate + at, left)
      const v = f32x4.mul(f32x4.mul(x, sigmoid_f32x4(x)), load_first(up + at, left))
      store_first(y + at, v, left)
    }
    gate += <usize>gateStride << 2
    up += <usize>upStride << 2
    y += <usize>cols << 2
  }
}

/**
 * dgate and dup, parts like gate and up with the same offsets and strides, from dy [rows, cols]; they may
 * be gate and up themselves.
 */
export function swiglu_backward(
  gate: usize,
  gateOffset: i32,
  gateStride: i32,
  up: usize,
  upOffset: i32,
  upStride: i32,
  dy: usize,
  dgate: usize,
  dup: usize,
  rows: i32,
  cols: i32,
): void {
  const gateStart = <usize>gateOffset << 2
  const upStart = <usize>upOffset << 2
  gate += gateStart
  dgate += gateStart
  up += upStart
  dup += upStart
  for (let r = 0; r < rows; r++) {
    for (let i = 0; i < cols; i += 4) {
      const at = <usize>i << 2
      const left = cols - i
      const x = load_first(gate + at, left)
      const d = load_first(dy + at, left)
      const s = sigmoid_f32x4(x)
      const upstream = f32x4.mul(d, load_first(up + at, left))
      store_first(dup + at, f32x4.mul(d, f32x4.mul(x, s)), left)
      store_first(dgate + at, f32x4.mul(upstream, silu_slope(x, s)), left)
    }
    gate += <usize>gateStride << 2
    dgate += <usize>gateStride << 2
    up += <usize>upStride << 2
    dup += <usize>upStride << 2
    dy += <usize>cols << 2
  }
}

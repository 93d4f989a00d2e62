// Sums of exponentials along a row, in f64: what softmax, log_softmax and logsumexp share. The shift is
// the largest element, so that nothing overflows.

import { store_first } from './lanes'
import { exp_f32x4, log_f32x4 } from './math'
import { high, load_rest, low, total } from './rows'

/** Σ e^(x − shift); with `keep` the terms go to y. */
@inline
export function exponentials(keep: bool, x: usize, y: usize, n: i32, shift: f32): f64 {
  const shifts = f32x4.splat(shift)
  let a = f64x2.splat(0)
  let b = a
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    const v = exp_f32x4(f32x4.sub(load_rest(x, left, -Infinity), shifts))
    a = f64x2.add(a, low(v))
    b = f64x2.add(b, high(v))
    if (keep) {
      store_first(y, v, left)
    }
  }
  return total(a, b)
}

/** Σ e^(x − shift) over n floats. */
export function exp_sum(x: usize, n: i32, shift: f32): f64 {
  return exponentials(false, x, 0, n, shift)
}

export function log_of(x: f64): f32 {
  return f32x4.extract_lane(log_f32x4(f32x4.splat(<f32>x)), 0)
}

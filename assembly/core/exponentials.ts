// Exponentials along a row, and their sum in f64: what softmax, log_softmax and logsumexp share. The shift
// is the largest element, so that nothing overflows.

import { store_first } from './lanes'
import { log_f32x4 } from './math'
import { exp_normal } from './math/exp'
import { high, load_rest, low, total } from './rows'

// Read from memory: engines rebuild a v128 constant in each iteration of a loop.
const LIMIT: usize = memory.data<f32>([-87])

/**
 * e^x for x <= 0, at most 1 ulp off down to e^-87 and 0 below: nothing beside the largest term, e^0.
 * It has no branch, and so is twice as fast inside a sum as the function for all x.
 */
@inline
export function exp_nonpositive(x: v128): v128 {
  const limit = v128.load32_splat(LIMIT)
  return v128.andnot(exp_normal(f32x4.pmax(x, limit)), f32x4.lt(x, limit))
}

/** Σ e^(x − shift), no x above the shift; with `keep` the terms go to y. */
@inline
function exponentials(keep: bool, x: usize, y: usize, n: i32, shift: f32): f64 {
  const shifts = f32x4.splat(shift)
  let a = f64x2.splat(0)
  let b = a
  let left = n
  for (; left >= 4; left -= 4, x += 16, y += 16) {
    const v = exp_nonpositive(f32x4.sub(v128.load(x), shifts))
    a = f64x2.add(a, low(v))
    b = f64x2.add(b, high(v))
    if (keep) {
      v128.store(y, v)
    }
  }
  if (left > 0) {
    const v = exp_nonpositive(f32x4.sub(load_rest(x, left, -Infinity), shifts))
    a = f64x2.add(a, low(v))
    b = f64x2.add(b, high(v))
    if (keep) {
      store_first(y, v, left)
    }
  }
  return total(a, b)
}

/** Σ e^(x − shift) over n floats, none above the shift. */
export function exp_sum(x: usize, n: i32, shift: f32): f64 {
  return exponentials(false, x, 0, n, shift)
}

/** The same, and y = e^(x − shift). */
export function exp_row(x: usize, y: usize, n: i32, shift: f32): f64 {
  return exponentials(true, x, y, n, shift)
}

export function log_of(x: f64): f32 {
  return f32x4.extract_lane(log_f32x4(f32x4.splat(<f32>x)), 0)
}

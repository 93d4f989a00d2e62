// The position of the largest element of each row, the first of equals; NaN counts as the largest. First
// the value, then where it is: half the time of carrying positions along.

import { load_rest } from '../core/rows'

/** index [rows] i32 = argmax of sign·x [rows, cols]; sign −1 finds the smallest. */
export function argmax(x: usize, index: usize, rows: i32, cols: i32, sign: f32): void {
  for (let r = 0; r < rows; r++) {
    store<i32>(index, position(x, cols, largest(x, cols, sign)))
    x += <usize>cols << 2
    index += 4
  }
}

/** The element of x that is the largest of sign·x, or NaN where there is one. */
function largest(x: usize, n: i32, sign: f32): f32 {
  const signs = f32x4.splat(sign)
  let best = f32x4.splat(-Infinity)
  let nan = i32x4.splat(0)
  let left = n
  for (; left >= 4; left -= 4, x += 16) {
    const v = f32x4.mul(signs, v128.load(x))
    best = f32x4.pmax(best, v)
    nan = v128.or(nan, f32x4.ne(v, v))
  }
  const v = f32x4.mul(signs, load_rest(x, left, -sign * Infinity))
  best = f32x4.pmax(best, v)
  nan = v128.or(nan, f32x4.ne(v, v))
  if (v128.any_true(nan)) {
    return NaN
  }
  best = f32x4.pmax(best, i64x2.shuffle(best, best, 1, 1))
  return sign * max(f32x4.extract_lane(best, 0), f32x4.extract_lane(best, 1))
}

/** Where `value`, or any NaN, is found first. */
function position(x: usize, n: i32, value: f32): i32 {
  const values = f32x4.splat(value)
  const nan: i32 = value != value ? -1 : 0
  const nans = i32x4.splat(nan)
  let i = 0
  for (; i <= n - 4; i += 4, x += 16) {
    const v = v128.load(x)
    const found = v128.or(f32x4.eq(v, values), v128.and(f32x4.ne(v, v), nans))
    if (v128.any_true(found)) {
      return i + ctz(i32x4.bitmask(found))
    }
  }
  for (; i < n; i++, x += 4) {
    const v = load<f32>(x)
    if (v == value || (nan && v != v)) {
      return i
    }
  }
  return 0
}

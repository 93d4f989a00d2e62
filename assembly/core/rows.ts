// What row kernels share: the largest element of a row, and sums in f64. A sum has a fixed number of
// f64 lanes (element i goes to lane i modulo that number, i ascending; then the lanes are added in one
// order), so that its bits depend on the row alone. Its error does not grow with the length: a naive
// f32 sum is off by 1e-4 at 2¹⁹ elements, this one by half a unit in the last place.

/**
 * The `count` (less than 4) floats at `x`; the other lanes are `rest`. For the end of a row, after the
 * loop over whole vectors: a call inside that loop would send its sums through memory. Recursive
 * because the compiler copies anything else into every kernel.
 */
export function load_rest(x: usize, count: i32, rest: f32): v128 {
  if (count == 0) {
    return f32x4.splat(rest)
  }
  const following = load_rest(x + 4, count - 1, rest)
  return v128.load_lane<f32>(x, v128.shuffle<f32>(following, following, 0, 0, 1, 2), 0)
}

/** Lanes 0 and 1 in f64. */
@inline
export function low(v: v128): v128 {
  return f64x2.promote_low_f32x4(v)
}

/** Lanes 2 and 3 in f64. */
@inline
export function high(v: v128): v128 {
  return f64x2.promote_low_f32x4(i64x2.shuffle(v, v, 1, 1))
}

/** The sum of four f64 lanes. */
@inline
export function total(low: v128, high: v128): f64 {
  const first = f64x2.extract_lane(low, 0) + f64x2.extract_lane(low, 1)
  return first + (f64x2.extract_lane(high, 0) + f64x2.extract_lane(high, 1))
}

/** The largest of n floats, NaN or not; −Infinity where there are none. */
export function row_max(x: usize, n: i32): f32 {
  let a = f32x4.splat(-Infinity)
  let b = a
  let left = n
  for (; left >= 8; left -= 8, x += 32) {
    a = f32x4.pmax(a, v128.load(x))
    b = f32x4.pmax(b, v128.load(x, 16))
  }
  if (left >= 4) {
    a = f32x4.pmax(a, v128.load(x))
    left -= 4
    x += 16
  }
  a = f32x4.pmax(f32x4.pmax(a, b), load_rest(x, left, -Infinity))
  a = f32x4.pmax(a, i64x2.shuffle(a, a, 1, 1))
  return max(f32x4.extract_lane(a, 0), f32x4.extract_lane(a, 1))
}

/** The sum of n floats, in eight lanes. */
export function row_sum(x: usize, n: i32): f64 {
  let a = f64x2.splat(0)
  let b = a
  let c = a
  let d = a
  let left = n
  for (; left >= 8; left -= 8, x += 32) {
    a = f64x2.add(a, low(v128.load64_zero(x)))
    b = f64x2.add(b, low(v128.load64_zero(x, 8)))
    c = f64x2.add(c, low(v128.load64_zero(x, 16)))
    d = f64x2.add(d, low(v128.load64_zero(x, 24)))
  }
  if (left >= 4) {
    a = f64x2.add(a, low(v128.load64_zero(x)))
    b = f64x2.add(b, low(v128.load64_zero(x, 8)))
    left -= 4
    x += 16
  }
  const v = load_rest(x, left, 0)
  c = f64x2.add(c, low(v))
  d = f64x2.add(d, high(v))
  return total(f64x2.add(a, c), f64x2.add(b, d))
}

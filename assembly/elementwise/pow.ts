// y = a^b, broadcast (see broadcast.ts);  da = dy b a^(b−1);  db = dy y log a.
// Lane by lane in f64 (power.ts), rounded once: exponents are rarely long arrays. Special values are
// those of IEEE 754 pow: a^0 = 1^b = 1; a negative base has a power where b is a whole number.
// da is 0 where b = 0; db is 0 where a = 0 and b ≥ 0, as in PyTorch.

import { broadcast2, broadcast3 } from '../core/broadcast'
import { log_f32x4 } from '../core/math'
import { power } from '../core/power'

function magnitude_power(a: f64, b: f64): f64 {
  if (a == 1 || b == 0) {
    return 1
  }
  if (a > 0 && a < Infinity) {
    return power(a, b)
  }
  // Zero and infinity are their own powers, or each other's.
  return b > 0 ? a : 1 / a
}

function power_of(a: f32, b: f32): f32 {
  if (a == 1 || b == 0) {
    return 1
  }
  if (a != a || b != b) {
    return NaN
  }
  const y = <f32>magnitude_power(<f64>abs(a), <f64>b)
  if (!(reinterpret<i32>(a) < 0)) {
    return y
  }
  const whole = floor(b) == b
  const odd = whole && floor(b * 0.5) * 2 != b
  return odd ? -y : whole || a == 0 || a == -Infinity ? y : NaN
}

function power_lanes(a: v128, b: v128): v128 {
  const y0 = power_of(f32x4.extract_lane(a, 0), f32x4.extract_lane(b, 0))
  const y1 = power_of(f32x4.extract_lane(a, 1), f32x4.extract_lane(b, 1))
  const y2 = power_of(f32x4.extract_lane(a, 2), f32x4.extract_lane(b, 2))
  const y3 = power_of(f32x4.extract_lane(a, 3), f32x4.extract_lane(b, 3))
  const y = f32x4.replace_lane(f32x4.splat(y0), 1, y1)
  return f32x4.replace_lane(f32x4.replace_lane(y, 2, y2), 3, y3)
}

class Pow {
  @inline of(a: v128, b: v128): v128 {
    return power_lanes(a, b)
  }
}

class PowBackwardA {
  @inline of(dy: v128, a: v128, b: v128): v128 {
    const slope = f32x4.mul(b, power_lanes(a, f32x4.sub(b, f32x4.splat(1))))
    return v128.and(f32x4.mul(dy, slope), f32x4.ne(b, f32x4.splat(0)))
  }
}

class PowBackwardB {
  @inline of(dy: v128, a: v128, b: v128): v128 {
    const zero = f32x4.splat(0)
    const slope = f32x4.mul(power_lanes(a, b), log_f32x4(a))
    const flat = v128.and(f32x4.eq(a, zero), f32x4.ge(b, zero))
    return v128.andnot(f32x4.mul(dy, slope), flat)
  }
}

export function pow(
  a: usize,
  aOffset: i32,
  aRow: i32,
  aCol: i32,
  b: usize,
  bOffset: i32,
  bRow: i32,
  bCol: i32,
  y: usize,
  yOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast2<Pow>(a, aOffset, aRow, aCol, b, bOffset, bRow, bCol, y, yOffset, rows, cols)
}

export function pow_backward_a(
  dy: usize,
  dyOffset: i32,
  dyRow: i32,
  dyCol: i32,
  a: usize,
  aOffset: i32,
  aRow: i32,
  aCol: i32,
  b: usize,
  bOffset: i32,
  bRow: i32,
  bCol: i32,
  da: usize,
  daOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<PowBackwardA>(
    dy,
    dyOffset,
    dyRow,
    dyCol,
    a,
    aOffset,
    aRow,
    aCol,
    b,
    bOffset,
    bRow,
    bCol,
    da,
    daOffset,
    rows,
    cols,
  )
}

export function pow_backward_b(
  dy: usize,
  dyOffset: i32,
  dyRow: i32,
  dyCol: i32,
  a: usize,
  aOffset: i32,
  aRow: i32,
  aCol: i32,
  b: usize,
  bOffset: i32,
  bRow: i32,
  bCol: i32,
  db: usize,
  dbOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<PowBackwardB>(
    dy,
    dyOffset,
    dyRow,
    dyCol,
    a,
    aOffset,
    aRow,
    aCol,
    b,
    bOffset,
    bRow,
    bCol,
    db,
    dbOffset,
    rows,
    cols,
  )
}

//   log(x) = k ln 2 + log(1 + f),  x = 2^k (1 + f),  √½ <= 1 + f < √2,  s = f / (2 + f)
//   log(1 + f) = 2 atanh(s) = f - f²/2 + s (f²/2 + R(s²))
// R is minimax in f32 coefficients (error 2⁻²⁹ of s), by Sollya's fpminimax. Source of the form:
// Tang, "Table-driven implementation of the logarithm function", ACM TOMS 16 (1990).

import { constant } from './lanes'

const LOG: usize = memory.data<f32>([
  0.2987079620361328125, // 0
  0.3997758328914642333984375,
  0.666667759418487548828125,
  1, // 12
  2, // 16
  0.5, // 20
  0.693145751953125, // 24: ln 2, upper 15 bits
  1.428606820309417e-6, // 28: ln 2, the rest
  reinterpret<f32>(0x3f3504f3), // 32: √½
  reinterpret<f32>(0xff800000), // 36: sign and exponent
  reinterpret<f32>(0x00800000), // 40: the smallest normal number
  reinterpret<f32>(0x7f000000), // 44: as bits, the count of positive normal numbers
])

/** log(x · 2^scale) where x is positive, finite and normal in every lane. */
@inline
function log_normal(x: v128, scale: v128): v128 {
  const offset = i32x4.sub(x, constant(LOG, 32))
  const k = f32x4.add(f32x4.convert_i32x4_s(i32x4.shr_s(offset, 23)), scale)
  const m = i32x4.sub(x, v128.and(offset, constant(LOG, 36)))
  const f = f32x4.sub(m, constant(LOG, 12))
  const s = f32x4.div(f, f32x4.add(f, constant(LOG, 16)))
  const z = f32x4.mul(s, s)
  let r = f32x4.add(f32x4.mul(z, constant(LOG, 0)), constant(LOG, 4))
  r = f32x4.mul(z, f32x4.add(f32x4.mul(z, r), constant(LOG, 8)))
  const half_square = f32x4.mul(f32x4.mul(f, f), constant(LOG, 20))
  const lower = f32x4.mul(k, constant(LOG, 28))
  const correction = f32x4.add(f32x4.mul(s, f32x4.add(half_square, r)), lower)
  const rest = f32x4.sub(f32x4.sub(half_square, correction), f)
  return f32x4.sub(f32x4.mul(k, constant(LOG, 24)), rest)
}

function log_any(x: v128): v128 {
  const subnormal = f32x4.lt(x, f32x4.splat(f32.MIN_NORMAL_VALUE))
  const scaled = v128.bitselect(f32x4.mul(x, f32x4.splat(8388608)), x, subnormal)
  const normal = log_normal(scaled, v128.and(subnormal, f32x4.splat(-23)))
  const zero = f32x4.splat(0)
  const negative_infinity = f32x4.splat(-Infinity)
  const finite = v128.bitselect(negative_infinity, normal, f32x4.eq(x, zero))
  const infinite = f32x4.eq(x, f32x4.splat(Infinity))
  const invalid = v128.or(f32x4.lt(x, zero), f32x4.ne(x, x))
  const y = v128.bitselect(x, finite, infinite)
  return v128.or(y, v128.and(invalid, i32x4.splat(0x7fc00000)))
}

/** log(x), at most 1 ulp off. */
@inline
export function log_f32x4(x: v128): v128 {
  // One unsigned comparison finds zero, subnormal, negative, infinite and NaN lanes.
  const shifted = i32x4.sub(x, constant(LOG, 40))
  const special = i32x4.ge_u(shifted, constant(LOG, 44))
  return v128.any_true(special) ? log_any(x) : log_normal(x, i32x4.splat(0))
}

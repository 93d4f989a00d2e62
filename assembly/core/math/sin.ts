//   sin(x), cos(x) = ± sin(r) or ± cos(r),  r = x - n π/2,  n = round(x / (π/2))
//   sin(r) = r + r³ S(r²),  cos(r) = 1 - r²/2 + r⁴ C(r²)
// S and C are minimax in f32 coefficients on |r| <= 0.87 (errors 2⁻³⁰ and 2⁻²⁸), by Sollya's
// fpminimax. r is computed in f64, where n times the upper part of π/2 is exact: in f32 it would
// take seven parts of π/2 to keep a result near 0 correct. Reduction: Cody and Waite (1980).

import { constant, ROUND, sign_bits } from './lanes'

// r² in [0, 0.87²]: n, rounded in f32, leaves |r| <= π/4 + 0.08 for |x| <= 1e6.
const SINE: usize = memory.data<f32>([
  2.82494193015736527740955352783203125e-6, // 0: sine, highest power first
  -1.98536334210075438022613525390625e-4,
  8.333384059369564056396484375e-3,
  -0.16666667163372039794921875,
  2.4497625418007373809814453125e-5, // 16: cosine, highest power first
  -1.3888073153793811798095703125e-3,
  4.1666664183139801025390625e-2,
  1, // 28
  0.5, // 32
  0.636619772367581343, // 36: 2 / π
  ROUND, // 40
])

// π/2 is split so that n times its upper part is exact up to n = 2²⁰.
const QUARTER: usize = memory.data<f64>([
  1.57079632673412561417, // 0: upper 33 bits
  6.07710050650619224932e-11, // 8: the rest
])

/** Two lanes of x - n π/2, in f64. */
@inline
function reduce_half(x: v128, n: v128): v128 {
  const wide = f64x2.promote_low_f32x4(n)
  const upper = f64x2.mul(wide, v128.load64_splat(QUARTER))
  const lower = f64x2.mul(wide, v128.load64_splat(QUARTER + 8))
  const r = f64x2.sub(f64x2.sub(f64x2.promote_low_f32x4(x), upper), lower)
  return f32x4.demote_f64x2_zero(r)
}

/** sin(x + quadrant π/2) for x >= 0. */
@inline
function sine(x: v128, quadrant: i32): v128 {
  const one = constant(SINE, 28)
  const rounded = f32x4.add(f32x4.mul(x, constant(SINE, 36)), constant(SINE, 40))
  const n = f32x4.sub(rounded, constant(SINE, 40))
  const low = reduce_half(x, n)
  const high = reduce_half(i64x2.shuffle(x, x, 1, 0), i64x2.shuffle(n, n, 1, 0))
  const r = i64x2.shuffle(low, high, 0, 2)
  const z = f32x4.mul(r, r)
  let s = f32x4.add(f32x4.mul(z, constant(SINE, 0)), constant(SINE, 4))
  s = f32x4.add(f32x4.mul(z, s), constant(SINE, 8))
  s = f32x4.add(f32x4.mul(z, s), constant(SINE, 12))
  s = f32x4.add(r, f32x4.mul(f32x4.mul(r, z), s))
  let c = f32x4.add(f32x4.mul(z, constant(SINE, 16)), constant(SINE, 20))
  c = f32x4.add(f32x4.mul(z, c), constant(SINE, 24))
  const half_square = f32x4.mul(z, constant(SINE, 32))
  c = f32x4.add(f32x4.sub(one, half_square), f32x4.mul(f32x4.mul(z, z), c))
  const turns = quadrant == 0 ? rounded : i32x4.add(rounded, i32x4.splat(quadrant))
  const odd = i32x4.shr_s(i32x4.shl(turns, 31), 31)
  const sign = v128.and(i32x4.shl(turns, 30), i32x4.splat(0x80000000))
  return v128.xor(v128.bitselect(c, s, odd), sign)
}

/** sin(x), at most 2 ulp off for |x| <= 1e6; beyond that the reduction runs out of bits. */
@inline
export function sin_f32x4(x: v128): v128 {
  return v128.xor(sine(f32x4.abs(x), 0), sign_bits(x))
}

/** cos(x), at most 2 ulp off for |x| <= 1e6; beyond that the reduction runs out of bits. */
@inline
export function cos_f32x4(x: v128): v128 {
  return sine(f32x4.abs(x), 1)
}

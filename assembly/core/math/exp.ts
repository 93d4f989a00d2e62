//   e^x = 2^k e^r,  k = round(x / ln 2),  r = x - k ln 2,  e^r = 1 + r + r² Q(r)
// Q is minimax in f32 coefficients on |r| <= ln 2 / 2 (relative error of e^r 2⁻²⁸), by Sollya's
// fpminimax. Reduction: Cody and Waite, "Software manual for the elementary functions" (1980).

import { constant, ROUND } from './lanes'

/** Where |x| is below this, e^x and 2^k are normal numbers. */
export const EXP_NORMAL: f32 = 87

// ln 2 is split so that k times its upper part is exact. Q: [-ln 2 / 2, ln 2 / 2].
export const EXP: usize = memory.data<f32>([
  EXP_NORMAL, // 0
  1.44269504088896341, // 4: 1 / ln 2
  ROUND + 127, // 8: with the exponent bias, so that the sum shifted left is 2^k
  0.693145751953125, // 12: ln 2, upper 15 bits
  1.428606820309417e-6, // 16: ln 2, the rest
  1.378246466629207134246826171875e-3, // 20: Q, highest power first
  8.368670009076595306396484375e-3,
  4.16689626872539520263671875e-2,
  0.16666521131992340087890625,
  0.4999999105930328369140625,
  1, // 40
])

/** ROUND + 127 + round(x / ln 2), whose low bits are the biased exponent of 2^k. */
@inline
export function exp_rounded(x: v128): v128 {
  return f32x4.add(f32x4.mul(x, constant(EXP, 4)), constant(EXP, 8))
}

/** e^r - 1 with r = x - k ln 2, for `rounded` = exp_rounded(x). */
@inline
export function exp_reduced(x: v128, rounded: v128): v128 {
  const k = f32x4.sub(rounded, constant(EXP, 8))
  const upper = f32x4.sub(x, f32x4.mul(k, constant(EXP, 12)))
  const lower = f32x4.mul(k, constant(EXP, 16))
  const r = f32x4.sub(upper, lower)
  let q = f32x4.add(f32x4.mul(r, constant(EXP, 20)), constant(EXP, 24))
  q = f32x4.add(f32x4.mul(q, r), constant(EXP, 28))
  q = f32x4.add(f32x4.mul(q, r), constant(EXP, 32))
  q = f32x4.add(f32x4.mul(q, r), constant(EXP, 36))
  return f32x4.add(upper, f32x4.sub(f32x4.mul(f32x4.mul(r, r), q), lower))
}

/** e^x where |x| < 87 in every lane, or a lane is NaN. */
@inline
export function exp_normal(x: v128): v128 {
  const rounded = exp_rounded(x)
  const p = f32x4.add(exp_reduced(x, rounded), constant(EXP, 40))
  return f32x4.mul(p, i32x4.shl(rounded, 23))
}

/** Whether e^x or e^-x could leave the normal numbers in some lane (a NaN does not count). */
@inline
export function exp_extreme(x: v128): bool {
  return v128.any_true(f32x4.ge(f32x4.abs(x), constant(EXP, 0)))
}

// 2^k in two factors, as k reaches from -150 to 128. Lanes below -104 compute e^0 and are cleared
// afterwards: an underflowing product costs ten times the whole function on x86.
export function exp_any(x: v128): v128 {
  const vanishing = f32x4.lt(x, f32x4.splat(-104))
  const bounded = v128.andnot(f32x4.pmin(x, f32x4.splat(89)), vanishing)
  const rounded = exp_rounded(bounded)
  const p = f32x4.add(exp_reduced(bounded, rounded), constant(EXP, 40))
  const exponent = i32x4.add(rounded, i32x4.splat(127))
  const half = i32x4.shr_s(exponent, 1)
  const product = f32x4.mul(p, i32x4.shl(half, 23))
  const scaled = f32x4.mul(product, i32x4.shl(i32x4.sub(exponent, half), 23))
  return v128.andnot(scaled, vanishing)
}

/** e^x, at most 1 ulp off, subnormal results included. */
@inline
export function exp_f32x4(x: v128): v128 {
  return exp_extreme(x) ? exp_any(x) : exp_normal(x)
}

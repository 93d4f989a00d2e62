// With e = exp(-|v|) = w (1 + s), w = 2^k:
//   sigmoid(v) = 1 / (1 + e) or, for v < 0, e / (1 + e)
//   tanh(x)    = ± (1 - e) / (1 + e),  v = 2x

import { EXP, EXP_NORMAL, exp_any, exp_extreme, exp_reduced, exp_rounded } from './exp'
import { constant, sign_bits } from './lanes'

/** 1 / (1 + e^-x) where |x| < 87. */
@inline
function sigmoid_normal(x: v128): v128 {
  const one = constant(EXP, 40)
  const argument = f32x4.neg(f32x4.abs(x))
  const rounded = exp_rounded(argument)
  const power = i32x4.shl(rounded, 23)
  const rest = f32x4.mul(power, exp_reduced(argument, rounded))
  const e = f32x4.add(power, rest)
  const negative = i32x4.shr_s(x, 31)
  const quotient = f32x4.div(v128.bitselect(e, one, negative), f32x4.add(one, e))
  // The rounding error of the numerator e, which alone can cost 1 ulp of the quotient.
  const error = f32x4.add(f32x4.sub(power, e), rest)
  return f32x4.add(quotient, v128.and(error, negative))
}

// Lanes that need no care get the bits that sigmoid_normal gives them: from 18 on it gives 1.
function sigmoid_any(x: v128): v128 {
  const small = f32x4.le(x, f32x4.splat(-EXP_NORMAL))
  const bounded = v128.andnot(f32x4.pmin(x, f32x4.splat(32)), small)
  return v128.bitselect(exp_any(x), sigmoid_normal(bounded), small)
}

/** 1 / (1 + e^-x), at most 2 ulp off, subnormal results included. */
@inline
export function sigmoid_f32x4(x: v128): v128 {
  return exp_extreme(x) ? sigmoid_any(x) : sigmoid_normal(x)
}

// Beyond 9.02 tanh(x) rounds to 1.
const TANH: usize = memory.data<f32>([-2, -19])

/** tanh(x), at most 2 ulp off. */
@inline
export function tanh_f32x4(x: v128): v128 {
  const one = constant(EXP, 40)
  const twice = f32x4.mul(f32x4.abs(x), constant(TANH, 0))
  const bounded = f32x4.pmax(twice, constant(TANH, 4))
  const rounded = exp_rounded(bounded)
  const power = i32x4.shl(rounded, 23)
  // e = power + rest; 1 - power is exact, so that nothing cancels where e is close to 1.
  const rest = f32x4.mul(power, exp_reduced(bounded, rounded))
  const numerator = f32x4.sub(f32x4.sub(one, power), rest)
  const denominator = f32x4.add(f32x4.add(one, power), rest)
  return v128.or(f32x4.div(numerator, denominator), sign_bits(x))
}

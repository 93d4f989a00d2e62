// With e = exp(-|v|) = w (1 + upper + rest), w = 2^k:
//   sigmoid(v) = 1 / (1 + e) or, for v < 0, e / (1 + e)
//   tanh(x)    = ± (1 - e) / (1 + e),  v = 2x
// Numerators and denominators are pairs, so that one rounding remains and nothing cancels where e
// is close to 1.
import { scale } from './bits.ts'
import { expExponent, expRest, LN2_LOWER, LN2_UPPER } from './exp.ts'
import { quotientError, sumError } from './pair.ts'

/** 1 / (1 + e^-x), at most 0.6 ulp off (0.8 where subnormal). */
export function sigmoid(x: number): number {
  if (x < -746) {
    return 0
  }
  if (x > 40) {
    return 1
  }
  const k = expExponent(-Math.abs(x))
  const upper = -Math.abs(x) - k * LN2_UPPER
  const rest = expRest(upper, k * LN2_LOWER)
  const w = scale(1, k)
  const reduced = upper + rest
  const m = 1 + reduced
  const mError = reduced - (m - 1) + (upper - reduced + rest)
  const denominator = 1 + w * m
  const denominatorError = 1 - denominator + w * m + w * mError
  const numerator = x < 0 ? m : 1
  const quotient = numerator / denominator
  const numeratorError = x < 0 ? mError : 0
  const y =
    quotient + quotientError(numerator, numeratorError, denominator, denominatorError, quotient)
  return x < 0 ? scale(y, k) : y
}

/** The hyperbolic tangent, at most 0.6 ulp off. */
export function tanh(x: number): number {
  const v = -2 * Math.abs(x)
  if (v < -40) {
    return x < 0 ? -1 : 1
  }
  if (v > -1e-8) {
    return x
  }
  const k = expExponent(v)
  const upper = v - k * LN2_UPPER
  const rest = expRest(upper, k * LN2_LOWER)
  const w = scale(1, k)
  const reduced = upper + rest
  const product = w * reduced
  const productError = w * (upper - reduced + rest)
  const less = 1 - w
  const numerator = less - product
  const numeratorError = sumError(less, -product, numerator) + (1 - less - w) - productError
  const more = 1 + w
  const denominator = more + product
  const denominatorError = sumError(more, product, denominator) + (1 - more + w) + productError
  const quotient = numerator / denominator
  const y =
    quotient + quotientError(numerator, numeratorError, denominator, denominatorError, quotient)
  return x < 0 ? -y : y
}

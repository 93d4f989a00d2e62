// exp(x) = 2^k e^r with k = round(x / ln 2), r = x - k ln 2, and
//   e^r = 1 + r + r c / (2 - c),  c = r - r² P(r²),
// which is r coth(r / 2) = 2 + r² P(r²) solved for e^r. P is minimax on |r| <= ln 2 / 2 (relative
// error of e^r 2⁻⁵⁹·⁷). ln 2 is split so that k times its upper part is exact (Cody and Waite,
// "Software manual for the elementary functions", 1980, chapter 6).
import { scale } from './bits.ts'
import { sumError } from './pair.ts'

export const LN2_UPPER = 0.6931471803691238
export const LN2_LOWER = 1.9082149292705877e-10

/** k = round(x / ln 2). */
export function expExponent(x: number): number {
  return Math.round(x * Math.LOG2E)
}

/** e^r - 1 - upper for r = upper - lower, |r| <= ln 2 / 2. */
export function expRest(upper: number, lower: number): number {
  const r = upper - lower
  const z = r * r
  let p = 4.143571517101196e-8
  p = p * z - 0.0000016534054850754186
  p = p * z + 0.00006613756467021889
  p = p * z - 0.0027777777777549255
  p = p * z + 0.1666666666666666
  const c = r - z * p
  return (r * c) / (2 - c) - lower
}

/** e^(x + xError), for |xError| far below |x| or 0. */
export function expPair(x: number, xError: number): number {
  if (x > 710) {
    return Number.POSITIVE_INFINITY
  }
  if (x < -746) {
    return 0
  }
  const k = expExponent(x)
  const upper = x - k * LN2_UPPER
  const rest = expRest(upper, k * LN2_LOWER - xError)
  const sum = 1 + upper
  return scale(sum + (upper - (sum - 1) + rest), k)
}

/** e^x, at most 0.7 ulp off (0.8 where subnormal). */
export function exp(x: number): number {
  return expPair(x, 0)
}

/** e^x - 1 without cancellation near 0, at most 1.1 ulp off. */
export function expm1(x: number): number {
  if (x > 710) {
    return Number.POSITIVE_INFINITY
  }
  if (x < -40) {
    return -1
  }
  if (Math.abs(x) < 1e-17) {
    return x
  }
  const k = expExponent(x)
  const upper = x - k * LN2_UPPER
  const rest = expRest(upper, k * LN2_LOWER)
  // 2^k (1 - 2^-k + upper + rest)
  const unit = scale(1, -k)
  const base = 1 - unit
  const sum = base + upper
  const error = sumError(base, upper, sum) + sumError(1, -unit, base)
  return scale(sum + (error + rest), k)
}

// log(x) = k ln 2 + log(1 + f) with x = 2^k (1 + f), √½ <= 1 + f < √2, and with s = f / (2 + f)
//   log(1 + f) = 2 atanh(s) = f - f²/2 + s (f²/2 + R(s²)),  R(z) = z (2/3 + z S(z)).
// S is minimax on s² <= ((√2 - 1) / (√2 + 1))² (error of the sum 2⁻⁶⁹ of s).
// Source of the form: Tang, "Table-driven implementation of the logarithm function", ACM TOMS 16
// (1990), and the libraries that descend from it.
import { exponent, scale } from './bits.ts'
import { LN2_LOWER, LN2_UPPER } from './exp.ts'
import { sumError } from './pair.ts'

/** S(z) with 2 atanh(s) = s (2 + 2/3 z + z² S(z)), z = s². */
export function logSeries(z: number): number {
  let r = 0.11586912759901971
  r = r * z + 0.11721286040449538
  r = r * z + 0.13334139780728826
  r = r * z + 0.15384609924369458
  r = r * z + 0.18181818155070362
  r = r * z + 0.22222222222771665
  r = r * z + 0.2857142857142632
  return r * z + 0.4
}

/** k ln 2 + log(1 + f) + c. */
function logSum(k: number, f: number, c: number): number {
  const s = f / (2 + f)
  const z = s * s
  const r = z * (0.6666666666666666 + z * logSeries(z))
  const halfSquare = 0.5 * f * f
  const lower = k * LN2_LOWER + c
  return k * LN2_UPPER - (halfSquare - (s * (halfSquare + r) + lower) - f)
}

/** The natural logarithm, at most 0.9 ulp off. */
export function log(x: number): number {
  if (!(x > 0 && x < Number.POSITIVE_INFINITY)) {
    return x === 0 ? Number.NEGATIVE_INFINITY : x > 0 ? x : Number.NaN
  }
  const k = exponent(x)
  return logSum(k, scale(x, -k) - 1, 0)
}

/** log(1 + x) without the rounding of 1 + x, at most 0.9 ulp off. */
export function log1p(x: number): number {
  const sum = 1 + x
  if (!(sum > 0 && sum < Number.POSITIVE_INFINITY)) {
    return log(sum)
  }
  if (Math.abs(x) < 1e-17) {
    return x
  }
  const k = exponent(sum)
  return k === 0 ? logSum(0, x, 0) : logSum(k, scale(sum, -k) - 1, sumError(1, x, sum) / sum)
}

// pow(x, y) = ± e^(y log|x|), the logarithm to about 2⁻⁶⁵ as a sum of two doubles: with
// |x| = 2^k m, s = (m - 1) / (m + 1), z = s²,
//   log|x| = k ln 2 + 2s + s z (2/3 + z S(z)),
// where all but the small term z S(z) is computed in pairs (Dekker 1971; see pair.ts).
// Special values: ECMA-262, Number::exponentiate.
import { exponent, scale } from './bits.ts'
import { expPair, LN2_LOWER, LN2_UPPER } from './exp.ts'
import { logSeries } from './log.ts'
import { productError, quotientError, sumError } from './pair.ts'

const TWO_THIRDS = 0.6666666666666666
const TWO_THIRDS_ERROR = 3.700743415417188e-17

/** x^y for finite x > 0, finite y; at most 0.8 ulp off. */
export function positivePower(x: number, y: number): number {
  const k = exponent(x)
  const m = scale(x, -k)
  const denominator = m + 1
  const s = (m - 1) / denominator
  const sError = quotientError(m - 1, 0, denominator, sumError(m, 1, denominator), s)
  const z = s * s
  const zError = productError(s, s, z) + 2 * s * sError
  const small = z * logSeries(z)
  const q = TWO_THIRDS + small
  const qError = TWO_THIRDS - q + small + TWO_THIRDS_ERROR
  const p = z * q
  const pError = productError(z, q, p) + (z * qError + zError * q)
  const cubic = s * p
  const cubicError = productError(s, p, cubic) + (s * pError + sError * p)
  const mLog = 2 * s + cubic
  const mLogError = 2 * s - mLog + cubic + (2 * sError + cubicError)
  const kLog = k * LN2_UPPER
  const xLog = kLog + mLog
  const xLogError = sumError(kLog, mLog, xLog) + (mLogError + k * LN2_LOWER)
  const product = y * xLog
  // Beyond these bounds the error term could overflow, and does not matter.
  return Math.abs(product) > 800 || Math.abs(product) < 1e-20
    ? expPair(product, 0)
    : expPair(product, productError(y, xLog, product) + y * xLogError)
}

function isInteger(y: number): boolean {
  return Math.floor(y) === y
}

/** x^y where x is 0 or infinite, or y is infinite: 0, 1 or infinity. */
function extremePower(x: number, y: number): number {
  if (x === 1) {
    return Number.NaN
  }
  return x > 1 === y > 0 ? Number.POSITIVE_INFINITY : 0
}

/** x^y, at most 0.8 ulp off, with the special values of Math.pow. */
export function pow(x: number, y: number): number {
  if (y === 0) {
    return 1
  }
  const base = Math.abs(x)
  if (Number.isNaN(x) || Number.isNaN(y)) {
    return Number.NaN
  }
  const negative = x < 0 || Object.is(x, -0)
  const odd = isInteger(y) && !isInteger(y / 2)
  if (x < 0 && Number.isFinite(x) && Number.isFinite(y) && !isInteger(y)) {
    return Number.NaN
  }
  const extreme = base === 0 || !Number.isFinite(base) || !Number.isFinite(y)
  const power = extreme ? extremePower(base, y) : positivePower(base, y)
  return negative && odd ? -power : power
}

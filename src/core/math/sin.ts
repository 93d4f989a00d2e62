// sin and cos: x = (n + f) π/2 with |f| <= 1/2; the quadrant n mod 4 chooses ± sin or ± cos of
// r = f π/2, both polynomials of r² (minimax on |r| <= 0.79, errors 2⁻⁵⁶ and 2⁻⁶¹).
// Reductions: Cody and Waite with π/2 in four parts up to 2²⁰ π/2; beyond that Payne and Hanek,
// "Radian reduction for trigonometric functions" (1983), in whole numbers, with 2/π to 1176 bits.
import { exponent, scale } from './bits.ts'
import { productError, sumError } from './pair.ts'

const HALF_PI = 1.5707963267948966
const HALF_PI_ERROR = 6.123233995736766e-17

const TWO_OVER_PI_BITS = 1176n

let twoOverPi: bigint | undefined

const FRACTION_BITS = 168n
const FRACTION = 3.7414441915671115e50

/** sin(r + tail) for |r| <= π/4. */
function nearSin(r: number, tail: number): number {
  const z = r * r
  let s = 1.591773322285339e-10
  s = s * z - 2.505113030768508e-8
  s = s * z + 0.0000027557316125386956
  s = s * z - 0.00019841269836908367
  s = s * z + 0.008333333333331212
  const cube = z * r
  return r - (z * (0.5 * tail - cube * s) - tail + cube * 0.16666666666666666)
}

/** cos(r + tail) for |r| <= π/4. */
function nearCos(r: number, tail: number): number {
  const z = r * r
  let c = -1.1380686054282654e-11
  c = c * z + 2.087611614889529e-9
  c = c * z - 2.755731710399117e-7
  c = c * z + 0.000024801587298362166
  c = c * z - 0.0013888888888887007
  c = c * z + 0.041666666666666664
  const half = 0.5 * z
  const w = 1 - half
  return w + (1 - w - half + (z * z * c - r * tail))
}

/** sin(n π/2 + r + tail). */
function fromQuadrant(n: number, r: number, tail: number): number {
  const y = n & 1 ? nearCos(r, tail) : nearSin(r, tail)
  return n & 2 ? -y : y
}

/** sin((n + f + fError) π/2). */
function fromQuarters(n: number, f: number, fError: number): number {
  const r = f * HALF_PI
  const tail = productError(f, HALF_PI, r) + f * HALF_PI_ERROR + fError * HALF_PI
  return fromQuadrant(n, r, tail)
}

/** sin(x + shift π/2) for 0 <= x <= 2²⁰ π/2. */
function mediumSine(x: number, shift: number): number {
  const n = Math.round(x * 0.6366197723675814)
  const a = x - n * 1.5707963267341256
  const b = n * 6.077100506303966e-11
  const ab = a - b
  // Each product is exact; only the last is rounded, at 2⁻¹³².
  const rest = sumError(a, -b, ab) - n * 2.0222662487111665e-21
  const r = ab + rest
  const tail = sumError(ab, rest, r) - n * 8.4784276603689e-32
  return fromQuadrant(n + shift, r, tail)
}

/** arctan(1 / n), by its series, for a `unit` that stands for 1. */
function arctanOfInverse(n: bigint, unit: bigint): bigint {
  let sum = 0n
  let power = unit / n
  for (let k = 1n; power !== 0n; k += 2n) {
    sum += power / k
    power /= -n * n
  }
  return sum
}

/** 2/π in units of 2⁻¹¹⁷⁶, by Machin's π/4 = 4 arctan(1/5) − arctan(1/239) to 64 bits more. */
function makeTwoOverPi(): bigint {
  const unit = 1n << (TWO_OVER_PI_BITS + 64n)
  const quarterPi = 4n * arctanOfInverse(5n, unit) - arctanOfInverse(239n, unit)
  return (unit << TWO_OVER_PI_BITS) / (2n * quarterPi)
}

/** sin(x + shift π/2) for finite x >= 2²⁰. */
function largeSine(x: number, shift: number): number {
  const e = exponent(x) - 53
  // x is a whole number of 2^e, so its quarter turns are one of 2^(e - TWO_OVER_PI_BITS).
  twoOverPi ??= makeTwoOverPi()
  const turns = BigInt(scale(x, -e)) * twoOverPi
  const unit = TWO_OVER_PI_BITS - BigInt(e)
  const n = (turns + (1n << (unit - 1n))) >> unit
  // No double is nearer to a multiple of π/2 than 2⁻⁶², so that these bits hold f to twice its digits.
  const fraction = (turns - (n << unit)) >> (unit - FRACTION_BITS)
  const f = Number(fraction)
  const fError = Number(fraction - BigInt(f))
  return fromQuarters(Number(n & 3n) + shift, f / FRACTION, fError / FRACTION)
}

/** sin(x + shift π/2) for x >= 0. */
function sine(x: number, shift: number): number {
  if (x < 0x180000) {
    return mediumSine(x, shift)
  }
  return x < Number.POSITIVE_INFINITY ? largeSine(x, shift) : Number.NaN
}

/** sin(x), x in radians, at most 0.9 ulp off for every finite x. */
export function sin(x: number): number {
  const a = Math.abs(x)
  if (a < 1e-8) {
    return x
  }
  const y = sine(a, 0)
  return x < 0 ? -y : y
}

/** cos(x), x in radians, at most 0.9 ulp off for every finite x. */
export function cos(x: number): number {
  return sine(Math.abs(x), 1)
}

/** sin(2π t), at most 0.9 ulp off for |t| < 2²⁹: t in full turns needs no reduction by π. */
export function sinTurns(t: number): number {
  const n = Math.round(4 * t)
  return fromQuarters(n, 4 * t - n, 0)
}

/** cos(2π t), at most 0.9 ulp off for |t| < 2²⁹. */
export function cosTurns(t: number): number {
  const n = Math.round(4 * t)
  return fromQuarters(n + 1, 4 * t - n, 0)
}

// x^y in f64 for what needs few of them: norms other than 1, 2 and ∞, and Adafactor's decay.
//   ln x = e ln 2 + 2 artanh(s),  s = (m − 1) / (m + 1),  x = 2^e m,  √½ ≤ m < √2
//   e^a  = 2^k Σ r^n / n!,        r = a − k ln 2,         |r| ≤ ln 2 / 2
// Both series are summed until the next term is below 2⁻⁵⁴ of the sum. The relative error of x^y is
// below 4e-16·(2 + |y ln x|): 1e-13 where the result stays within 1e±100.

const SQRT_2: f64 = 1.4142135623730951
const LN_2: f64 = 0.6931471805599453
const LN_2_HIGH: f64 = 0.69314718036912381649
const LN_2_LOW: f64 = 1.90821492927058770002e-10

/** ln x for positive, finite, normal x. */
function natural_log(x: f64): f64 {
  const bits = reinterpret<i64>(x)
  let exponent = <f64>((bits >> 52) - 1023)
  let m = reinterpret<f64>((bits & 0x000fffffffffffff) | 0x3ff0000000000000)
  if (m > SQRT_2) {
    m *= 0.5
    exponent += 1
  }
  const s = (m - 1) / (m + 1)
  const z = s * s
  let sum: f64 = 0
  for (let k: f64 = 19; k > 0; k -= 2) {
    sum = sum * z + 1 / k
  }
  return exponent * LN_2_HIGH + (2 * s * sum + exponent * LN_2_LOW)
}

/** e^a; 0 and infinity where the result is not a normal number. */
function exponential(a: f64): f64 {
  const k = nearest(a / LN_2)
  if (k < -1022) {
    return 0
  }
  if (k > 1023) {
    return Infinity
  }
  const r = a - k * LN_2_HIGH - k * LN_2_LOW
  let sum: f64 = 1
  for (let n: f64 = 14; n > 0; n -= 1) {
    sum = 1 + (sum * r) / n
  }
  return sum * reinterpret<f64>((<i64>k + 1023) << 52)
}

/** x^y for y ≠ 0 and x ≥ 0; infinity and NaN stay what they are. */
export function power(x: f64, y: f64): f64 {
  if (!(x > 0 && x < Infinity)) {
    return x
  }
  return exponential(y * natural_log(x))
}

/** base^count for a whole count ≥ 0, by squaring; the relative error is below count·2⁻⁵². */
export function whole_power(base: f64, count: i32): f64 {
  let result: f64 = 1
  while (count > 0) {
    if (count & 1) {
      result *= base
    }
    base *= base
    count >>= 1
  }
  return result
}

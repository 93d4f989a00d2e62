// An oracle for core/math: the elementary functions of a double in BigInt fixed point, a number v
// with F fraction bits meaning v / 2^F, by textbook series with some hundred bits to spare.
//   exp r = Σ rⁿ / n!        log m = 2 atanh((m - 1) / (m + 1)) = 2 Σ sⁿ / n, n odd
//   sin r = Σ ± rⁿ / n!      erf x = 2/√π e^(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · 5 … (2n + 1))

/** value / 2^bits. */
export interface Fixed {
  value: bigint
  bits: number
}

const view = new DataView(new ArrayBuffer(8))

function shift(value: bigint, bits: number): bigint {
  return bits >= 0 ? value << BigInt(bits) : value >> BigInt(-bits)
}

const magnitude = (value: bigint): bigint => (value < 0n ? -value : value)

/** A finite double, exactly: mantissa · 2^exponent. */
function parts(x: number): { mantissa: bigint; exponent: number } {
  view.setFloat64(0, x)
  const word = view.getBigUint64(0)
  const field = Number((word >> 52n) & 0x7ffn)
  const fraction = word & 0xfffffffffffffn
  const mantissa = field === 0 ? fraction : fraction | 0x10000000000000n
  return { mantissa: x < 0 ? -mantissa : mantissa, exponent: Math.max(field, 1) - 1075 }
}

function fixed(x: number, bits: number): bigint {
  const { mantissa, exponent } = parts(x)
  return shift(mantissa, exponent + bits)
}

/** atan(1 / n), or atanh(1 / n). */
function inverseTangent(n: bigint, bits: number, hyperbolic: boolean): bigint {
  let power = (1n << BigInt(bits)) / n
  let sum = 0n
  for (let i = 1n; power !== 0n; i += 2n) {
    const term = power / i
    sum += hyperbolic || i % 4n === 1n ? term : -term
    power /= n * n
  }
  return sum
}

const CONSTANT_BITS = 3000
const PI =
  4n * (4n * inverseTangent(5n, CONSTANT_BITS, false) - inverseTangent(239n, CONSTANT_BITS, false))
const LN2 = 2n * inverseTangent(3n, CONSTANT_BITS, true)

const constant = (c: bigint, bits: number): bigint => shift(c, bits - CONSTANT_BITS)

/** Σ rⁿ / n! over n = first, first + step, …, with alternating signs if asked. */
function exponentialSeries(r: bigint, bits: number, first: number, step: number, sign: bigint) {
  const factor = step === 1 ? r : (r * r) >> BigInt(bits)
  let term = first === 0 ? 1n << BigInt(bits) : r
  let sum = 0n
  for (let n = first; term !== 0n && term !== -1n; n += step) {
    sum += term
    const divisor = step === 1 ? BigInt(n + 1) : BigInt((n + 1) * (n + 2))
    term = (sign * ((term * factor) >> BigInt(bits))) / divisor
  }
  return sum
}

/** e^(x / 2^bits), as e^r 2^k. */
function expOf(x: bigint, bits: number): Fixed {
  const ln2 = constant(LN2, bits)
  const k = x / ln2
  return { value: exponentialSeries(x - k * ln2, bits, 0, 1, 1n), bits: bits - Number(k) }
}

function logOf(x: number, bits: number): bigint {
  const { mantissa, exponent } = parts(x)
  const length = mantissa.toString(2).length
  const m = shift(mantissa, bits - length)
  const one = 1n << BigInt(bits)
  const s = ((m - one) << BigInt(bits)) / (m + one)
  const square = (s * s) >> BigInt(bits)
  let power = s
  let sum = 0n
  for (let n = 1n; power !== 0n && power !== -1n; n += 2n) {
    sum += power / n
    power = (power * square) >> BigInt(bits)
  }
  return 2n * sum + BigInt(length + exponent) * constant(LN2, bits)
}

/** sin(x + quadrant π/2). */
function sineOf(x: bigint, bits: number, quadrant: number): bigint {
  const half = constant(PI, bits - 1)
  const n = x / half
  const r = x - n * half
  const turn = ((Number(n % 4n) + quadrant) % 4) + 4
  const odd = turn % 2 === 1
  const y = odd ? exponentialSeries(r, bits, 0, 2, -1n) : exponentialSeries(r, bits, 1, 2, -1n)
  return turn % 4 >= 2 ? -y : y
}

function squareRoot(v: bigint): bigint {
  let x = 1n << BigInt((v.toString(2).length >> 1) + 1)
  for (;;) {
    const next = (x + v / x) >> 1n
    if (next >= x) {
      return x
    }
    x = next
  }
}

function erfOf(x: bigint, bits: number): bigint {
  const b = BigInt(bits)
  const square = (x * x) >> b
  let term = x
  let sum = 0n
  for (let n = 1n; term !== 0n && term !== -1n; n++) {
    sum += term
    term = ((term * square) >> (b - 1n)) / (2n * n + 1n)
  }
  const e = expOf(-square, bits)
  const density = shift(e.value, bits - e.bits)
  return (((2n * sum * density) >> b) << b) / squareRoot(constant(PI, bits) << b)
}

/** Fraction bits that leave about 150 good ones in functions of x and e^±x. */
function bitsFor(x: number): number {
  const { exponent } = parts(x)
  return 260 + Math.abs(exponent) + (Math.abs(x) < 1000 ? Math.ceil(3 * Math.abs(x)) : 0)
}

const one = (bits: number): bigint => 1n << BigInt(bits)

function expFixed(x: number, bits: number): bigint {
  const e = expOf(fixed(x, bits), bits)
  return shift(e.value, bits - e.bits)
}

function unary(f: (x: number, bits: number) => bigint): (x: number) => Fixed {
  return x => {
    const bits = bitsFor(x)
    return { value: f(x, bits), bits }
  }
}

function ratio(a: bigint, b: bigint, bits: number): bigint {
  return (a << BigInt(bits)) / b
}

/** The functions of core/math for finite arguments where they are finite. */
export const exact: Record<string, (x: number) => Fixed> = {
  exp: unary(expFixed),
  expm1: unary((x, bits) => expFixed(x, bits) - one(bits)),
  log: x => ({ value: logOf(x, 300), bits: 300 }),
  log1p: unary((x, bits) => {
    // log(1 + x) for 1 + x = n / 2^bits, which need not be a double.
    const sum = one(bits) + fixed(x, bits)
    const length = sum.toString(2).length
    const m = shift(sum, bits - length)
    const s = ratio(m - one(bits), m + one(bits), bits)
    let power = s
    let series = 0n
    for (let n = 1n; power !== 0n && power !== -1n; n += 2n) {
      series += power / n
      power = (((power * s) >> BigInt(bits)) * s) >> BigInt(bits)
    }
    return 2n * series + BigInt(length - bits) * constant(LN2, bits)
  }),
  sin: unary((x, bits) => sineOf(fixed(x, bits), bits, 0)),
  cos: unary((x, bits) => sineOf(fixed(x, bits), bits, 1)),
  sinTurns: unary((x, bits) => {
    return sineOf((2n * fixed(x, bits) * constant(PI, bits)) >> BigInt(bits), bits, 0)
  }),
  cosTurns: unary((x, bits) => {
    return sineOf((2n * fixed(x, bits) * constant(PI, bits)) >> BigInt(bits), bits, 1)
  }),
  tanh: unary((x, bits) => {
    const e = expFixed(2 * x, bits)
    return ratio(e - one(bits), e + one(bits), bits)
  }),
  sigmoid: unary((x, bits) => {
    const e = expFixed(x, bits)
    return ratio(e, e + one(bits), bits)
  }),
  erf: unary((x, bits) => erfOf(fixed(x, bits), bits)),
}

/** x^y for x > 0. */
export function exactPow(x: number, y: number): Fixed {
  const { mantissa, exponent } = parts(y)
  const bits = 300 + Math.max(0, -exponent)
  return expOf(shift(mantissa * logOf(x, bits), exponent), bits)
}

/** |y - want| in units of the last place of a double of want's size; want is not 0. */
export function ulps(y: number, want: Fixed): number {
  const { mantissa, exponent } = parts(y)
  const spare = 1200
  const difference = shift(mantissa, exponent + want.bits + spare) - (want.value << BigInt(spare))
  const length = magnitude(want.value).toString(2).length - want.bits
  const last = Math.max(length - 53, -1074)
  // In units of 2⁻²⁰ of the last place, small enough for a double.
  return Number(magnitude(shift(difference, 20 - last - want.bits - spare))) / 2 ** 20
}

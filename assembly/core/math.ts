// Transcendental functions of four f32 lanes, from + - * / and bit operations alone: the same bits
// on every engine. Largest errors over all f32, measured by test/backends/wasm/math.test.ts, in
// units in the last place (ulp) of the result:
//   exp 0.00   log 0.00   tanh 0.00   sigmoid 0.00   erf 0.00   sin, cos 0.00 (|x| <= 1e6)
//
//   exp(x)     = 2^k e^r, k = round(x / ln 2), e^r = 1 + r + r² Q(r)
//   log(x)     = k ln 2 + log(1 + f), s = f / (2 + f), log(1 + f) = f - f²/2 + s (f²/2 + s² R(s²))
//   tanh(x)    = (1 - e) / (1 + e), e = exp(-2|x|)
//   sigmoid(x) = 1 / (1 + e) or e / (1 + e), e = exp(-|x|)
//   erf(x)     = x + x S(x²) for |x| < 1, else 1 - exp(-T(|x|))
//   sin, cos   = polynomials of r = x - n π/2, reduced in f64
// Argument reductions: Cody and Waite, "Software manual for the elementary functions" (1980); the
// form of the logarithm: Tang, ACM TOMS 16 (1990). Coefficients: minimax, fitted with Sollya's
// fpminimax over the f32 grid (relative to the function, on the intervals named below).
//
// Constants are read from memory: V8 rebuilds a v128 constant in each iteration of a loop (four
// instructions, a third of the time of exp), whereas a broadcasting load is one.

/** 1.5 · 2²³: adding it to |x| < 2²² rounds x to an integer, found in the low bits of the sum. */
const ROUND: f32 = 12582912

// ---- exp -------------------------------------------------------------------------------------

/** Where |x| is below this, e^x and 2^k are normal numbers. */
const EXP_NORMAL: f32 = 87

// ln 2 is split so that k times its upper part is exact. Q: [-ln 2 / 2, ln 2 / 2].
const EXP: usize = memory.data<f32>([
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

/** The constant `offset` bytes into a table, in all lanes. */
@inline
function constant(table: usize, offset: usize): v128 {
  return v128.load32_splat(table + offset)
}

/** ROUND + 127 + round(x / ln 2), whose low bits are the biased exponent of 2^k. */
@inline
function exp_rounded(x: v128): v128 {
  return f32x4.add(f32x4.mul(x, constant(EXP, 4)), constant(EXP, 8))
}

/** e^r - 1 with r = x - k ln 2, for `rounded` = exp_rounded(x). */
@inline
function exp_reduced(x: v128, rounded: v128): v128 {
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
function exp_normal(x: v128): v128 {
  const rounded = exp_rounded(x)
  const p = f32x4.add(exp_reduced(x, rounded), constant(EXP, 40))
  return f32x4.mul(p, i32x4.shl(rounded, 23))
}

/** Whether e^x or e^-x could leave the normal numbers in some lane (a NaN does not count). */
@inline
function exp_extreme(x: v128): bool {
  return v128.any_true(f32x4.ge(f32x4.abs(x), constant(EXP, 0)))
}

// 2^k in two factors, as k reaches from -150 to 128. Lanes below -104 compute e^0 and are cleared
// afterwards: an underflowing product costs ten times the whole function on x86.
function exp_any(x: v128): v128 {
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

// ---- sigmoid, tanh ---------------------------------------------------------------------------

/** The sign bits of x. */
@inline
function sign_bits(x: v128): v128 {
  return v128.and(x, i32x4.splat(0x80000000))
}

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

// ---- log -------------------------------------------------------------------------------------

// R: [0, ((√2 - 1) / (√2 + 1))²].
const LOG: usize = memory.data<f32>([
  0.2987079620361328125, // 0
  0.3997758328914642333984375,
  0.666667759418487548828125,
  1, // 12
  2, // 16
  0.5, // 20
  0.693145751953125, // 24: ln 2, upper 15 bits
  1.428606820309417e-6, // 28: ln 2, the rest
  reinterpret<f32>(0x3f3504f3), // 32: √½
  reinterpret<f32>(0xff800000), // 36: sign and exponent
  reinterpret<f32>(0x00800000), // 40: the smallest normal number
  reinterpret<f32>(0x7f000000), // 44: as bits, the count of positive normal numbers
])

/** log(x · 2^scale) where x is positive, finite and normal in every lane. */
@inline
function log_normal(x: v128, scale: v128): v128 {
  const offset = i32x4.sub(x, constant(LOG, 32))
  const k = f32x4.add(f32x4.convert_i32x4_s(i32x4.shr_s(offset, 23)), scale)
  const m = i32x4.sub(x, v128.and(offset, constant(LOG, 36)))
  const f = f32x4.sub(m, constant(LOG, 12))
  const s = f32x4.div(f, f32x4.add(f, constant(LOG, 16)))
  const z = f32x4.mul(s, s)
  let r = f32x4.add(f32x4.mul(z, constant(LOG, 0)), constant(LOG, 4))
  r = f32x4.mul(z, f32x4.add(f32x4.mul(z, r), constant(LOG, 8)))
  const half_square = f32x4.mul(f32x4.mul(f, f), constant(LOG, 20))
  const lower = f32x4.mul(k, constant(LOG, 28))
  const correction = f32x4.add(f32x4.mul(s, f32x4.add(half_square, r)), lower)
  const rest = f32x4.sub(f32x4.sub(half_square, correction), f)
  return f32x4.sub(f32x4.mul(k, constant(LOG, 24)), rest)
}

function log_any(x: v128): v128 {
  const subnormal = f32x4.lt(x, f32x4.splat(f32.MIN_NORMAL_VALUE))
  const scaled = v128.bitselect(f32x4.mul(x, f32x4.splat(8388608)), x, subnormal)
  const normal = log_normal(scaled, v128.and(subnormal, f32x4.splat(-23)))
  const zero = f32x4.splat(0)
  const negative_infinity = f32x4.splat(-Infinity)
  const finite = v128.bitselect(negative_infinity, normal, f32x4.eq(x, zero))
  const infinite = f32x4.eq(x, f32x4.splat(Infinity))
  const invalid = v128.or(f32x4.lt(x, zero), f32x4.ne(x, x))
  const y = v128.bitselect(x, finite, infinite)
  return v128.or(y, v128.and(invalid, i32x4.splat(0x7fc00000)))
}

/** log(x), at most 1 ulp off. */
@inline
export function log_f32x4(x: v128): v128 {
  // One unsigned comparison finds zero, subnormal, negative, infinite and NaN lanes.
  const shifted = i32x4.sub(x, constant(LOG, 40))
  const special = i32x4.ge_u(shifted, constant(LOG, 44))
  return v128.any_true(special) ? log_any(x) : log_normal(x, i32x4.splat(0))
}

// ---- erf -------------------------------------------------------------------------------------

// S: [0, 1] in x²; T: [1, 3.93], weighted by erfc(x). Beyond 3.84 erf(x) rounds to 1.
const ERF: usize = memory.data<f32>([
  7.9241304774770648e-5, // 0: S, highest power first
  -8.031835895963013e-4,
  5.1908446475863457e-3,
  -2.68551744520664215e-2,
  0.112836189568042755,
  -0.37612628936767578,
  0.12837916612625122,
  -1.85573982889764e-4, // 28: T, highest power first
  2.939607016742229e-3,
  -2.180531807243824e-2,
  0.10303736478090286,
  0.63822567462921143,
  1.1270400285720825,
  3.537197480909526e-4,
  3.9375, // 56
])

@inline
function horner6(x: v128, table: usize): v128 {
  let y = f32x4.add(f32x4.mul(x, constant(table, 0)), constant(table, 4))
  y = f32x4.add(f32x4.mul(x, y), constant(table, 8))
  y = f32x4.add(f32x4.mul(x, y), constant(table, 12))
  y = f32x4.add(f32x4.mul(x, y), constant(table, 16))
  y = f32x4.add(f32x4.mul(x, y), constant(table, 20))
  return f32x4.add(f32x4.mul(x, y), constant(table, 24))
}

/** erf(x) = 2/√π ∫₀ˣ e^(-t²) dt, at most 2 ulp off. */
@inline
export function erf_f32x4(x: v128): v128 {
  const one = constant(EXP, 40)
  const a = f32x4.pmin(f32x4.abs(x), constant(ERF, 56))
  const near = f32x4.add(a, f32x4.mul(a, horner6(f32x4.mul(a, a), ERF)))
  const far = f32x4.sub(one, exp_normal(f32x4.neg(horner6(a, ERF + 28))))
  return v128.or(v128.bitselect(near, far, f32x4.lt(a, one)), sign_bits(x))
}

// ---- sin, cos --------------------------------------------------------------------------------

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

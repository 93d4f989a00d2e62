// Elementary functions in WGSL. The built-in ones differ between drivers by up to 15 units in the last
// place, and some overflow early; these are the polynomials of the WASM kernels (assembly/core/math),
// written so that a compiler may fuse or not: within 4 units in the last place either way.

/** Not-a-number and infinities, which the language does not promise to compare. */
const BITS = /* wgsl */ `
fn is_nan(x: f32) -> bool { return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u; }
fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }
fn infinity() -> f32 { var bits = 0x7f800000u; return bitcast<f32>(bits); }
fn not_a_number() -> f32 { var bits = 0x7fc00000u; return bitcast<f32>(bits); }`

// e^x = 2^k e^r, k = round(x / ln 2); ln 2 is split so that k times its upper part is exact.
const EXP_PARTS = /* wgsl */ `
fn power_of_two(k: i32) -> f32 { return bitcast<f32>(u32(k + 127) << 23u); }
fn exp_k(x: f32) -> f32 { return round(x * 1.44269504); }
fn exp_rest(x: f32, k: f32) -> f32 {
  let upper = x - k * 0.693145751953125;
  let lower = k * 1.428606820309417e-6;
  let r = upper - lower;
  var q = r * 1.378246466629207e-3 + 8.368670009076595e-3;
  q = q * r + 4.166896268725395e-2;
  q = q * r + 0.1666652113199234;
  q = q * r + 0.49999991059303284;
  return upper + (r * r * q - lower);
}`

const EXPONENTIAL = /* wgsl */ `
fn exponential(x: f32) -> f32 {
  let bounded = clamp(x, -104.0, 89.0);
  let k = exp_k(bounded);
  let whole = i32(k);
  let half = whole >> 1u;
  let y = (1.0 + exp_rest(bounded, k)) * power_of_two(half) * power_of_two(whole - half);
  return select(select(y, 0.0, x < -104.0), x, is_nan(x));
}`

// log x = k ln 2 + log m, √½ ≤ m < √2, by 2 atanh((m - 1) / (m + 1)).
const LOGARITHM = /* wgsl */ `
fn logarithm(x: f32) -> f32 {
  let tiny = x < 1.17549435e-38;
  let scaled = select(x, x * 8388608.0, tiny);
  let offset = bitcast<i32>(scaled) - 0x3f3504f3;
  let k = f32(offset >> 23u) + select(0.0, -23.0, tiny);
  let f = bitcast<f32>(bitcast<i32>(scaled) - (offset & -8388608)) - 1.0;
  let s = f / (f + 2.0);
  let z = s * s;
  let r = z * (z * (z * 0.2987079620361328 + 0.3997758328914642) + 0.6666677594184875);
  let half_square = f * f * 0.5;
  let correction = s * (half_square + r) + k * 1.428606820309417e-6;
  let y = k * 0.693145751953125 - ((half_square - correction) - f);
  if (is_nan(x) || x < 0.0) { return not_a_number(); }
  if (x == 0.0) { return -infinity(); }
  return select(y, x, x > 3.4028234e38);
}`

const SIGMOID = /* wgsl */ `
fn sigmoid(x: f32) -> f32 {
  let e = exponential(-abs(x));
  return select(1.0 / (1.0 + e), e / (1.0 + e), x < 0.0);
}`

// tanh x = (1 - e) / (1 + e), e = e^(-2|x|) = 2^k (1 + rest): 1 - 2^k is exact.
const TANH = /* wgsl */ `
fn hyperbolic_tangent(x: f32) -> f32 {
  let bounded = max(-2.0 * abs(x), -19.0);
  let k = exp_k(bounded);
  let power = power_of_two(i32(k));
  let rest = power * exp_rest(bounded, k);
  let y = ((1.0 - power) - rest) / ((1.0 + power) + rest);
  return select(select(y, -y, x < 0.0), x, is_nan(x));
}`

const ERF = /* wgsl */ `
fn error_function(x: f32) -> f32 {
  let a = min(abs(x), 3.9375);
  let z = a * a;
  var s = z * 7.924130477477065e-5 - 8.031835895963013e-4;
  s = z * s + 5.190844647586346e-3;
  s = z * s - 2.6855175e-2;
  s = z * s + 0.11283619;
  s = z * s - 0.3761263;
  s = z * s + 0.12837917;
  var t = a * -1.8557398e-4 + 2.939607e-3;
  t = a * t - 2.1805318e-2;
  t = a * t + 0.10303736;
  t = a * t + 0.6382257;
  t = a * t + 1.12704;
  t = a * t + 3.5371975e-4;
  let y = select(1.0 - exponential(-t), a + a * s, a < 1.0);
  return select(select(y, -y, x < 0.0), x, is_nan(x));
}`

// log(1 + x) = 2 atanh(x / (2 + x)) for x from 0 to 1.
const LOG1P = /* wgsl */ `
fn log1p_unit(x: f32) -> f32 {
  let s = x / (2.0 + x);
  let z = s * s;
  var q = z * 0.06666667 + 0.07692308;
  q = z * q + 0.09090909;
  q = z * q + 0.11111111;
  q = z * q + 0.14285714;
  q = z * q + 0.2;
  q = z * q + 0.33333333;
  return 2.0 * s * (1.0 + z * q);
}`

// Whole exponents by squaring, else e^(b log |a|); NaN for a finite a < 0 and a b that is not whole.
const POWER = /* wgsl */ `
fn whole_power(a: f32, n: u32) -> f32 {
  var result = 1.0;
  var base = a;
  for (var left = n; left > 0u; left >>= 1u) {
    if ((left & 1u) == 1u) { result *= base; }
    base *= base;
  }
  return result;
}
fn power(a: f32, b: f32) -> f32 {
  let bounded = abs(a) <= 3.4028234e38;
  if (b == 0.0 || a == 1.0 || (a == -1.0 && abs(b) > 3.4028234e38)) { return 1.0; }
  if (is_nan(a) || is_nan(b)) { return not_a_number(); }
  let whole = trunc(b) == b;
  if (whole && abs(b) <= 64.0) {
    let y = whole_power(a, u32(abs(b)));
    return select(y, 1.0 / y, b < 0.0);
  }
  if (b == 0.5 && bounded) { return sqrt(a); }
  if (a == 0.0) { return select(0.0, infinity(), b < 0.0); }
  if (a < 0.0 && !whole && bounded) { return not_a_number(); }
  let y = exponential(b * logarithm(abs(a)));
  let odd = whole && abs(b) < 16777216.0 && (u32(abs(b)) & 1u) == 1u;
  return select(y, -y, a < 0.0 && odd);
}`

const SOFTPLUS = /* wgsl */ `
fn softplus(x: f32) -> f32 { return max(x, 0.0) + log1p_unit(exponential(-abs(x))); }`

/** Functions by name, each with those that it calls. */
export const BIT_TESTS: readonly string[] = [BITS]
export const EXP: readonly string[] = [BITS, EXP_PARTS, EXPONENTIAL]
export const LOG: readonly string[] = [BITS, LOGARITHM]
export const LOGISTIC: readonly string[] = [...EXP, SIGMOID]
export const TANGENT: readonly string[] = [BITS, EXP_PARTS, TANH]
export const ERROR_FUNCTION: readonly string[] = [...EXP, ERF]
export const POW: readonly string[] = [...EXP, LOGARITHM, POWER]
export const SOFT: readonly string[] = [...EXP, LOG1P, SOFTPLUS, SIGMOID]
/** 1 - e^x for x ≤ 0, without cancellation. */
export const ONE_MINUS_EXP: readonly string[] = [
  BITS,
  EXP_PARTS,
  /* wgsl */ `
fn one_minus_exp(x: f32) -> f32 {
  let bounded = max(x, -87.0);
  let k = exp_k(bounded);
  let power = power_of_two(i32(k));
  return (1.0 - power) - power * exp_rest(bounded, k);
}`,
]

// Casts between f32 and the two half formats in which frozen weights are stored:
//   widen   y[i] = f32(x[i])       exact
//   narrow  y[i] = half(x[i])      round to nearest, ties to even; overflow gives infinity,
//                                  subnormal results are right, a NaN stays a (quiet) NaN
// Source: IEEE 754-2019, section 4.3.1 and table 3.5 (binary16); bf16 is the upper half of an f32.
// The subnormal trick (an addition that aligns the mantissa and rounds it) is F. Giesen's
// "float->half variants" (2012).

export const F32: i32 = 0
export const F16: i32 = 1
export const BF16: i32 = 2

/** A matrix [O, I] stored as [ceil(O / 8)][I][8], padded with zeros: added to one of the above. */
export const PANELS: i32 = 4

// The formats as types, so that a function is compiled once for each: f32, f16 and bf16.
export type Half = u16
export type Brain = i16

/** Bytes of an element. */
@inline
export function element_size(format: i32): i32 {
  return (format & 3) == F32 ? 4 : 2
}

// A half is widened as two 16-bit halves of its f32, eight at a time. The exponent of an f16 is then
// 112 too small, which one product puts right, for subnormals too; an infinity or NaN has its
// exponent filled up before, so that it stays what it is.

@inline
function lower_bits<T>(x: v128): v128 {
  return isSigned<T>() ? i32x4.splat(0) : i16x8.shl(x, 13)
}

@inline
function upper_bits<T>(x: v128): v128 {
  if (isSigned<T>()) {
    return x
  }
  const exponent = i16x8.splat(0x7c00)
  const special = i16x8.eq(v128.and(x, exponent), exponent)
  const bits = v128.and(i16x8.shr_s(x, 3), i16x8.splat(<i16>0x8fff))
  return v128.or(bits, v128.and(special, i16x8.splat(0x7f80)))
}

@inline
function scaled<T>(bits: v128): v128 {
  return isSigned<T>() ? bits : f32x4.mul(bits, f32x4.splat(reinterpret<f32>(0x77800000)))
}

/** The first four of eight halves, as f32. */
@inline
function widen_low<T>(x: v128): v128 {
  const bits = v128.shuffle<u16>(lower_bits<T>(x), upper_bits<T>(x), 0, 8, 1, 9, 2, 10, 3, 11)
  return scaled<T>(bits)
}

/** The last four of eight halves, as f32. */
@inline
function widen_high<T>(x: v128): v128 {
  const bits = v128.shuffle<u16>(lower_bits<T>(x), upper_bits<T>(x), 4, 12, 5, 13, 6, 14, 7, 15)
  return scaled<T>(bits)
}

/** The eight halves at `x`, once for both of the following; f32 are loaded there. */
@inline
export function load8<T>(x: usize): v128 {
  return isFloat<T>() ? i32x4.splat(0) : v128.load(x)
}

/** Elements 0 to 3 of the eight at `x` as f32. */
@inline
export function low<T>(x: usize, halves: v128): v128 {
  return isFloat<T>() ? v128.load(x) : widen_low<T>(halves)
}

/** Elements 4 to 7 of the eight at `x` as f32. */
@inline
export function high<T>(x: usize, halves: v128): v128 {
  return isFloat<T>() ? v128.load(x, 16) : widen_high<T>(halves)
}

/** Elements 0 to 3 at `x` as f32. */
@inline
export function load4<T>(x: usize): v128 {
  return isFloat<T>() ? v128.load(x) : widen_low<T>(v128.load64_zero(x))
}

/** The element at `x` as f32. */
@inline
export function load1<T>(x: usize): f32 {
  return isFloat<T>()
    ? load<f32>(x)
    : f32x4.extract_lane(widen_low<T>(i16x8.splat(load<i16>(x))), 0)
}

function widen_as<T>(x: usize, y: usize, n: i32): void {
  const end = y + ((<usize>n) << 2)
  const last = y + ((<usize>(n & ~7)) << 2)
  while (y < last) {
    const halves = load8<T>(x)
    v128.store(y, low<T>(x, halves))
    v128.store(y, high<T>(x, halves), 16)
    x += 8 * sizeof<T>()
    y += 32
  }
  while (y < end) {
    store<f32>(y, load1<T>(x))
    x += sizeof<T>()
    y += 4
  }
}

/** y[n] f32 = x[n] in `format` (0 f32, 1 f16, 2 bf16). */
export function widen(x: usize, format: i32, y: usize, n: i32): void {
  if (format == BF16) {
    widen_as<Brain>(x, y, n)
  } else if (format == F16) {
    widen_as<Half>(x, y, n)
  } else {
    memory.copy(y, x, (<usize>n) << 2)
  }
}

/** Four f32 to f16, in the lower half of each lane. */
@inline
function narrow_f16(x: v128): v128 {
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff))
  const subnormal = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(0x3f000000))
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1))
  const rounded = i32x4.add(magnitude, i32x4.add(odd, i32x4.splat(0xc8000fff)))
  const normal = i32x4.shr_u(rounded, 13)
  const payload = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(0x3ff))
  const nan = v128.or(payload, i32x4.splat(0x7e00))
  const isNan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000))
  const large = v128.bitselect(nan, i32x4.splat(0x7c00), isNan)
  const isSmall = i32x4.lt_s(magnitude, i32x4.splat(0x38800000))
  const isLarge = i32x4.gt_s(magnitude, i32x4.splat(0x477fffff))
  const finite = v128.bitselect(subnormal, normal, isSmall)
  const sign = v128.and(i32x4.shr_u(x, 16), i32x4.splat(0x8000))
  return v128.or(sign, v128.bitselect(large, finite, isLarge))
}

/** Four f32 to bf16, in the lower half of each lane. */
@inline
function narrow_bf16(x: v128): v128 {
  const upper = i32x4.shr_u(x, 16)
  const odd = v128.and(upper, i32x4.splat(1))
  const rounded = i32x4.shr_u(i32x4.add(x, i32x4.add(odd, i32x4.splat(0x7fff))), 16)
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff))
  const isNan = i32x4.gt_s(magnitude, i32x4.splat(0x7f800000))
  return v128.bitselect(v128.or(upper, i32x4.splat(0x40)), rounded, isNan)
}

@inline
function narrow4<T>(x: v128): v128 {
  return isSigned<T>() ? narrow_bf16(x) : narrow_f16(x)
}

function narrow_as<T>(x: usize, y: usize, n: i32): void {
  const end = y + ((<usize>n) << 1)
  const last = y + ((<usize>(n & ~7)) << 1)
  while (y < last) {
    const low = narrow4<T>(v128.load(x))
    const high = narrow4<T>(v128.load(x, 16))
    v128.store(y, i16x8.narrow_i32x4_u(low, high))
    x += 32
    y += 16
  }
  while (y < end) {
    store<u16>(y, <u16>i32x4.extract_lane(narrow4<T>(v128.load32_zero(x)), 0))
    x += 4
    y += 2
  }
}

/** y[n] in `format` (0 f32, 1 f16, 2 bf16) = x[n] f32. */
export function narrow(x: usize, y: usize, format: i32, n: i32): void {
  if (format == BF16) {
    narrow_as<Brain>(x, y, n)
  } else if (format == F16) {
    narrow_as<Half>(x, y, n)
  } else {
    memory.copy(y, x, (<usize>n) << 2)
  }
}

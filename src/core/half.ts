// float16 (IEEE 754 binary16) and bfloat16 as bits, to and from float32. Rounding is to nearest,
// ties to even; NaN stays NaN (quiet, sign kept); what is too large becomes infinity.

const bytes: ArrayBuffer = /* @__PURE__ */ new ArrayBuffer(4)
const float: Float32Array = /* @__PURE__ */ new Float32Array(bytes)
const bits: Uint32Array = /* @__PURE__ */ new Uint32Array(bytes)

export function bfloat16ToFloat32(half: number): number {
  bits[0] = half << 16
  return float[0]
}

export function float32ToBfloat16(value: number): number {
  float[0] = value
  const word = bits[0]
  if ((word & 0x7fffffff) > 0x7f800000) {
    return (word >>> 16) | 0x40
  }
  return ((word + 0x7fff + ((word >>> 16) & 1)) >>> 16) & 0xffff
}

export function float16ToFloat32(half: number): number {
  const sign = (half & 0x8000) << 16
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) {
    // Subnormal: fraction · 2⁻²⁴.
    const magnitude = fraction / 0x1000000
    return sign ? -magnitude : magnitude
  }
  bits[0] = sign | ((exponent === 31 ? 0xff : exponent + 112) << 23) | (fraction << 13)
  return float[0]
}

export function float32ToFloat16(value: number): number {
  float[0] = value
  const word = bits[0]
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) {
    return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff)
  }
  if (magnitude >= 0x477ff000) {
    return sign | 0x7c00
  }
  if (magnitude < 0x38800000) {
    // Next to 0.5 one float32 unit is 2⁻²⁴, the unit of subnormal halves: the adder rounds.
    float[0] = Math.abs(value)
    float[0] += 0.5
    return sign | (bits[0] - 0x3f000000)
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13)
}

/** Widens the bits of a half-precision array to float32, exactly. */
export function widen(half: Uint16Array, dtype: 'float16' | 'bfloat16'): Float32Array {
  const convert = dtype === 'float16' ? float16ToFloat32 : bfloat16ToFloat32
  const wide = new Float32Array(half.length)
  for (let i = 0; i < half.length; i++) {
    wide[i] = convert(half[i])
  }
  return wide
}

/** Rounds floats to the bits of a half-precision array. */
export function narrow(wide: ArrayLike<number>, dtype: 'float16' | 'bfloat16'): Uint16Array {
  const convert = dtype === 'float16' ? float32ToFloat16 : float32ToBfloat16
  const half = new Uint16Array(wide.length)
  for (let i = 0; i < wide.length; i++) {
    half[i] = convert(wide[i])
  }
  return half
}

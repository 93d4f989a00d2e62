// The exponent field of a double: x = m · 2^k with √½ <= m < √2. Source: IEEE 754-2019, section 3.4.

const bits: DataView = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(8))

/** The upper 32 bits of √½, as an integer. */
const ROOT_HALF = 0x3fe6a09e

/** 2^k for integers k in -1022 … 1023. */
function power2(k: number): number {
  bits.setInt32(0, (k + 1023) << 20)
  bits.setInt32(4, 0)
  return bits.getFloat64(0)
}

/** y · 2^k for integers |k| <= 2044, rounded once if subnormal, infinite on overflow. */
export function scale(y: number, k: number): number {
  const half = k >> 1
  return y * power2(half) * power2(k - half)
}

/** The k for which x / 2^k is in [√½, √2); x is positive and finite. */
export function exponent(x: number): number {
  if (x < 2.2250738585072014e-308) {
    return exponent(x * 0x40000000000000) - 54
  }
  bits.setFloat64(0, x)
  return (bits.getInt32(0) - ROOT_HALF) >> 20
}

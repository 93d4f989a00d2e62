// The exponent field of a double: x = m · 2^k with √½ <= m < √2. Source: IEEE 754-2019, section 3.4.

const bits: DataView = /* @__PURE__ */ new DataView(/* @__PURE__ */ new ArrayBuffer(8))

/** The upper 32 bits of √½, as an integer. */
const ROOT_HALF = 0x3fe6a09e

const SMALLEST_NORMAL = 2.2250738585072014e-308

let powers: Float64Array | undefined

/** 2^k at k + 1022, k = -1022 … 1023. */
function makePowers(): Float64Array {
  const made = new Float64Array(2046)
  made[0] = SMALLEST_NORMAL
  for (let i = 1; i < made.length; i++) {
    made[i] = 2 * made[i - 1]
  }
  return made
}

/** y · 2^k for integers |k| <= 2044, rounded once if subnormal, infinite on overflow. */
export function scale(y: number, k: number): number {
  // Putting the exponent together in `bits` stalls: a wide load after narrow stores.
  powers ??= makePowers()
  const half = k >> 1
  return y * powers[half + 1022] * powers[k - half + 1022]
}

/** The k for which x / 2^k is in [√½, √2); x is positive and finite. */
export function exponent(x: number): number {
  if (x < SMALLEST_NORMAL) {
    return exponent(x * 0x40000000000000) - 54
  }
  bits.setFloat64(0, x)
  return (bits.getInt32(0) - ROOT_HALF) >> 20
}

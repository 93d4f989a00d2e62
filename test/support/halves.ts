// The half formats in plain arithmetic, exact: what the casts in the kernels are compared with.

/** The value of binary16 bits. */
export function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const mantissa = bits & 1023
  if (exponent === 31) {
    return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY
  }
  const unit = exponent === 0 ? 2 / 0x2000000 : (1 << exponent) / 0x2000000
  return sign * (exponent === 0 ? mantissa : mantissa + 1024) * unit
}

const word = new Uint32Array(1)
const value = new Float32Array(word.buffer)

/** The value of bf16 bits: the upper half of an f32. */
export function bfloatValue(bits: number): number {
  word[0] = bits << 16
  return value[0]
}

/** Index of the finite pattern (sign clear) nearest to `magnitude`, ties to even; `table` ascends. */
export function nearestPattern(table: Float64Array, magnitude: number): number {
  let low = 0
  let high = table.length - 1
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (table[middle] <= magnitude) {
      low = middle
    } else {
      high = middle
    }
  }
  const below = magnitude - table[low]
  const above = table[high] - magnitude
  if (below === above) {
    return low % 2 === 0 ? low : high
  }
  return below < above ? low : high
}

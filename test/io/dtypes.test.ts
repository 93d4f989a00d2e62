// Stored elements to numbers and back: every half, every alignment, every byte order.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { floatBytes, floatsIn, swapBytes } from '../../src/io/dtypes.ts'
import {
  byteLength,
  bytesOf,
  fromNumbers,
  isStoredDType,
  STORED_DTYPES,
  type StoredDType,
  storedDType,
  tensorDType,
  toFloat32,
  toFloat64,
  toInt32,
} from '../../src/io/index.ts'

const ALL_HALVES = Uint16Array.from({ length: 65_536 }, (_, i) => i)

/** The value of a half by the definition of its fields. */
function valueOfHalf(bits: number, exponentBits: number, fractionBits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits & 0x7fff) >> fractionBits
  const fraction = (bits & ((1 << fractionBits) - 1)) / 2 ** fractionBits
  const bias = 2 ** (exponentBits - 1) - 1
  if (exponent === 2 ** exponentBits - 1) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  }
  return exponent === 0
    ? sign * fraction * 2 ** (1 - bias)
    : sign * (1 + fraction) * 2 ** (exponent - bias)
}

/** The half nearest to a value among all finite ones, even on ties; found by search. */
function nearestHalf(value: number, exponentBits: number, fractionBits: number): number {
  const infinity = (2 ** exponentBits - 1) << fractionBits
  const magnitude = Math.abs(value)
  let low = 0
  let high = infinity
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (valueOfHalf(middle, exponentBits, fractionBits) <= magnitude) {
      low = middle
    } else {
      high = middle
    }
  }
  const below = valueOfHalf(low, exponentBits, fractionBits)
  // Beyond the largest finite one, the next would be a step as large as the last.
  const step = valueOfHalf(infinity - 1, exponentBits, fractionBits)
  const last = step - valueOfHalf(infinity - 2, exponentBits, fractionBits)
  const above = high === infinity ? step + last : valueOfHalf(high, exponentBits, fractionBits)
  const up = magnitude - below > above - magnitude
  const tie = magnitude - below === above - magnitude
  const rounded = up || (tie && low % 2 === 1) ? high : low
  return rounded | (Object.is(Math.sign(value), -0) || value < 0 ? 0x8000 : 0)
}

const halves = [
  { dtype: 'F16', exponentBits: 5, fractionBits: 10 },
  { dtype: 'BF16', exponentBits: 8, fractionBits: 7 },
] as const

describe.each(halves)('$dtype', ({ dtype, exponentBits, fractionBits }) => {
  it('widens every bit pattern to the value its fields define', () => {
    const values = toFloat32(bytesOf(ALL_HALVES), dtype)
    const wrong = ALL_HALVES.filter(
      bits => !Object.is(values[bits], valueOfHalf(bits, exponentBits, fractionBits)),
    )
    expect(Array.from(wrong)).toEqual([])
  })

  it('gives every bit pattern back, a NaN as a NaN', () => {
    const values = toFloat32(bytesOf(ALL_HALVES), dtype)
    const back = new Uint16Array(fromNumbers(values, dtype).buffer)
    const wrong = ALL_HALVES.filter(bits =>
      Number.isNaN(values[bits])
        ? !Number.isNaN(valueOfHalf(back[bits], exponentBits, fractionBits))
        : back[bits] !== bits,
    )
    expect(Array.from(wrong)).toEqual([])
  })

  it('rounds to the nearest, ties to even', () => {
    const bit = fc.integer({ min: 0, max: 0xffffffff })
    fc.assert(
      fc.property(bit, bits => {
        const [value] = new Float32Array(new Uint32Array([bits]).buffer)
        fc.pre(Number.isFinite(value))
        const [half] = new Uint16Array(fromNumbers([value], dtype).buffer)
        expect(half).toBe(nearestHalf(value, exponentBits, fractionBits))
      }),
      { numRuns: 3000 },
    )
    // Ties: the middle between two neighbours, which f32 holds exactly.
    const middles = [...ALL_HALVES.subarray(0, 2000), ...ALL_HALVES.subarray(15_000, 16_000)].map(
      bits =>
        (valueOfHalf(bits, exponentBits, fractionBits) +
          valueOfHalf(bits + 1, exponentBits, fractionBits)) /
        2,
    )
    const rounded = new Uint16Array(fromNumbers(middles, dtype).buffer)
    expect(Array.from(rounded)).toEqual(
      middles.map(value => nearestHalf(value, exponentBits, fractionBits)),
    )
  })
})

/** Values that each type holds exactly, and their bytes by hand. */
const SAMPLES: readonly (readonly [StoredDType, readonly number[], string])[] = [
  ['F64', [1, -2.5], '000000000000f03f00000000000004c0'],
  ['F32', [1, -2.5], '0000803f000020c0'],
  ['F16', [1, -2.5], '003c00c1'],
  ['BF16', [1, -2.5], '803f20c0'],
  ['I64', [1, -2], '0100000000000000feffffffffffffff'],
  ['U64', [1, 2], '01000000000000000200000000000000'],
  ['I32', [1, -2], '01000000feffffff'],
  ['U32', [1, 4294967295], '01000000ffffffff'],
  ['I16', [1, -2], '0100feff'],
  ['U16', [1, 65535], '0100ffff'],
  ['I8', [1, -2], '01fe'],
  ['U8', [1, 255], '01ff'],
  ['BOOL', [1, 0], '0100'],
]

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], pair => Number.parseInt(pair, 16))
}

/** The same bytes at an odd address. */
function unaligned(bytes: Uint8Array): Uint8Array {
  const shifted = new Uint8Array(bytes.length + 1)
  shifted.set(bytes, 1)
  return shifted.subarray(1)
}

describe('decoders', () => {
  it.each(SAMPLES)('read %s at any alignment', (dtype, values, hex) => {
    for (const bytes of [fromHex(hex), unaligned(fromHex(hex))]) {
      expect(Array.from(toFloat64(bytes, dtype))).toEqual(values)
      expect(Array.from(toFloat32(bytes, dtype))).toEqual(values.map(Math.fround))
    }
  })

  it.each(SAMPLES)('read no elements of %s', dtype => {
    expect(toFloat32(new Uint8Array(0), dtype)).toEqual(new Float32Array(0))
    expect(toFloat64(new Uint8Array(0), dtype)).toEqual(new Float64Array(0))
  })

  it('refuse the types that have no decoder, and name those that have', () => {
    const undecoded = STORED_DTYPES.filter(dtype => !SAMPLES.some(([known]) => known === dtype))
    expect(undecoded.length).toBe(9)
    for (const dtype of undecoded) {
      expect(() => toFloat32(new Uint8Array(8), dtype)).toThrow(`expected one of F64, F32`)
      expect(() => toFloat64(new Uint8Array(8), dtype)).toThrow(`got ${dtype}`)
    }
  })

  it('refuse a part of an element', () => {
    expect(() => toFloat32(new Uint8Array(5), 'F16')).toThrow(
      'toFloat32: expected elements of 2 bytes, got 5 bytes',
    )
  })

  it('leave the bits of a signalling NaN of F32 alone', () => {
    const bytes = fromHex('0100807f')
    expect(bytesOf(toFloat32(bytes, 'F32'))).toEqual(bytes)
  })
})

describe('toInt32', () => {
  it('reads every integer type', () => {
    for (const [dtype, values, hex] of SAMPLES) {
      if (/^[IU]\d|BOOL/.test(dtype) && dtype !== 'U32') {
        expect(Array.from(toInt32(fromHex(hex), dtype))).toEqual(values)
      }
    }
  })

  it('refuses what needs more than 32 bits, and says where', () => {
    const large = bytesOf(new BigInt64Array([0n, 2_147_483_647n, 2_147_483_648n]))
    expect(() => toInt32(large, 'I64')).toThrow(
      'toInt32: expected values of 32 bits, got 2147483648 at index 2 of 3',
    )
    const wraps = bytesOf(new BigInt64Array([2n ** 32n + 1n]))
    expect(() => toInt32(wraps, 'I64')).toThrow('got 4294967297')
    expect(() => toInt32(bytesOf(new BigUint64Array([2n ** 64n - 1n])), 'U64')).toThrow('index 0')
    expect(() => toInt32(fromHex('ffffffff'), 'U32')).toThrow('got 4294967295')
    const smallest = bytesOf(new BigInt64Array([-2_147_483_648n]))
    expect(Array.from(toInt32(smallest, 'I64'))).toEqual([-2_147_483_648])
  })

  it('refuses types that are no integers', () => {
    expect(() => toInt32(new Uint8Array(4), 'F32')).toThrow('expected integers, got F32')
  })
})

describe('fromNumbers', () => {
  it('writes the bytes by hand', () => {
    for (const [dtype, values, hex] of SAMPLES) {
      if (['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'U8', 'BOOL'].includes(dtype)) {
        expect(fromNumbers(values, dtype)).toEqual(fromHex(hex))
      } else {
        expect(() => fromNumbers(values, dtype)).toThrow(`got ${dtype}`)
      }
    }
  })
})

describe('floats', () => {
  const values = [1, -2.5, 65504, 2 ** -24, -0]

  it.each(['float32', 'float16', 'bfloat16'] as const)('are written as %s', dtype => {
    expect(floatBytes(values, dtype)).toEqual(fromNumbers(values, storedDType(dtype)))
    expect(floatBytes(new Float64Array(values), dtype)).toEqual(floatBytes(values, dtype))
  })

  it.each(['F64', 'F32', 'F16', 'BF16'] as const)('are read as %s, at any offset', dtype => {
    const bytes = fromNumbers(values, dtype)
    const moved = new Uint8Array([7, ...bytes]).subarray(1)
    expect(bytesOf(floatsIn(moved, dtype))).toEqual(bytes)
    expect(floatsIn(bytes, dtype).buffer).toBe(bytes.buffer)
    expect(() => floatsIn(bytes.subarray(1), dtype)).toThrow(
      `floats of ${dtype}: expected elements`,
    )
  })
})

describe('names and sizes', () => {
  it('know the types of the format and no others', () => {
    expect(STORED_DTYPES.length).toBe(22)
    expect(isStoredDType('F8_E4M3')).toBe(true)
    expect(isStoredDType('f32')).toBe(false)
    expect(isStoredDType('constructor')).toBe(false)
  })

  it('map to the element types of tensors and back', () => {
    expect(tensorDType('BF16')).toBe('bfloat16')
    expect(tensorDType('F64')).toBeUndefined()
    expect(storedDType('float32')).toBe('F32')
  })

  it('count bytes', () => {
    expect(byteLength('F32', [768, 2304])).toBe(7_077_888)
    expect(byteLength('I64', [])).toBe(8)
    expect(byteLength('F4', [3])).toBe(1.5)
    expect(byteLength('F64', [0, 5])).toBe(0)
  })

  it('swap the bytes of each element', () => {
    expect(swapBytes(new Uint8Array([1, 2, 3, 4]), 2)).toEqual(new Uint8Array([2, 1, 4, 3]))
    expect(swapBytes(new Uint8Array([1, 2, 3, 4]), 4)).toEqual(new Uint8Array([4, 3, 2, 1]))
  })
})

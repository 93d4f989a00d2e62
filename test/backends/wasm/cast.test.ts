// widen and narrow against exact arithmetic: every half widened, and narrowed values at, between and
// halfway between all neighbouring halves, which covers ties, subnormals and overflow.
import { describe, expect, test } from 'vitest'
import { binary } from '../../../src/backends/wasm/binaries/core.ts'
import { bfloatValue, halfValue, nearestPattern } from '../../support/halves.ts'
import { KernelInstance } from '../../support/instance.ts'

const instance = new KernelInstance(binary.module(), 8)
const { kernels } = instance
const PATTERNS = 65536
const GUARD = 0x7fc0dead

const formats = [
  { name: 'f16', format: 1, value: halfValue, infinity: 0x7c00, quiet: 0x0200 },
  { name: 'bf16', format: 2, value: bfloatValue, infinity: 0x7f80, quiet: 0x0040 },
]

/** The finite magnitudes in ascending order, and one step beyond, which stands for infinity. */
function magnitudes(value: (bits: number) => number, infinity: number): Float64Array {
  const table = new Float64Array(infinity + 1)
  for (let bits = 0; bits < infinity; bits++) {
    table[bits] = value(bits)
  }
  table[infinity] = 2 * table[infinity - 1] - table[infinity - 2]
  return table
}

/** Narrows a list, checking that nothing beyond it is written. */
function narrowed(values: Float32Array, format: number): Uint16Array {
  instance.clear()
  const x = instance.reserve(4 * values.length)
  instance.f32(x, values.length).set(values)
  const y = instance.reserve(2 * values.length + 64)
  instance.u16(y, values.length + 32).fill(0x1234)
  kernels.narrow(x, y, format, values.length)
  expect([...instance.u16(y + 2 * values.length, 32)]).toEqual(new Array(32).fill(0x1234))
  return instance.u16(y, values.length).slice()
}

describe.each(formats)('$name', ({ format, value, infinity, quiet }) => {
  test('widens every pattern', () => {
    instance.clear()
    const x = instance.reserve(2 * PATTERNS)
    instance.u16(x, PATTERNS).forEach((_, bits, all) => {
      all[bits] = bits
    })
    const y = instance.reserve(4 * PATTERNS + 64)
    kernels.widen(x, format, y, PATTERNS)
    const wrong: string[] = []
    instance.f32(y, PATTERNS).forEach((widened, bits) => {
      if (!Object.is(widened, value(bits))) {
        wrong.push(`${bits.toString(16)}: ${widened}`)
      }
    })
    expect(wrong).toEqual([])
  })

  test('widens any length and nothing more', () => {
    for (let n = 0; n < 35; n++) {
      instance.clear()
      const x = instance.reserve(2 * n)
      instance.u16(x, n).forEach((_, i, all) => {
        all[i] = 0x3000 + 31 * i
      })
      const y = instance.reserve(4 * n + 64)
      instance.u32(y, n + 16).fill(GUARD)
      kernels.widen(x, format, y, n)
      const expected = Array.from({ length: n }, (_, i) => value(0x3000 + 31 * i))
      expect([...instance.f32(y, n)]).toEqual(expected)
      expect([...instance.u32(y + 4 * n, 16)]).toEqual(new Array(16).fill(GUARD))
    }
  })

  test('narrows to the nearest, ties to even', () => {
    const table = magnitudes(value, infinity)
    const values: number[] = []
    for (let bits = 0; bits < infinity; bits++) {
      const middle = (table[bits] + table[bits + 1]) / 2
      const above = (middle + table[bits + 1]) / 2
      values.push(table[bits], middle, above, -middle, (middle + table[bits]) / 2)
    }
    const exact = Float32Array.from(values)
    const result = narrowed(exact, format)
    const wrong: string[] = []
    exact.forEach((x, i) => {
      const magnitude = nearestPattern(table, Math.abs(x))
      const expected = x < 0 || Object.is(x, -0) ? magnitude | 0x8000 : magnitude
      if (result[i] !== expected) {
        wrong.push(`${x}: ${result[i].toString(16)}, not ${expected.toString(16)}`)
      }
    })
    expect(wrong.slice(0, 5)).toEqual([])
  })

  test('narrows zeros, infinities, overflow and NaN', () => {
    const values = new Float32Array([
      0,
      -0,
      Infinity,
      -Infinity,
      3.4e38,
      -3.4e38,
      NaN,
      1e-45,
      -1e-45,
    ])
    const result = [...narrowed(values, format)]
    const overflow = format === 1 || values[4] > bfloatValue(0x7f7f) ? infinity : 0x7f7f
    const expected = [0, 0x8000, infinity, infinity | 0x8000]
    expect(result.slice(0, 4)).toEqual(expected)
    expect(result[4] & 0x7fff).toBe(nearOverflow(values[4], format, overflow))
    expect(result[5]).toBe(result[4] | 0x8000)
    expect(result[6] & infinity).toBe(infinity)
    expect(result[6] & quiet).toBe(quiet)
    expect(result.slice(7)).toEqual([0, 0x8000])
  })

  test('keeps a NaN whose payload lies in the bits that are cut off', () => {
    instance.clear()
    const x = instance.reserve(4)
    const y = instance.reserve(2)
    instance.u32(x, 1)[0] = 0x7f800001
    kernels.narrow(x, y, format, 1)
    expect(Number.isNaN(value(instance.u16(y, 1)[0]))).toBe(true)
  })
})

/** 3.4e38 lies within the range of bf16, and far beyond that of f16. */
function nearOverflow(x: number, format: number, infinity: number): number {
  return format === 1 ? infinity : nearestPattern(magnitudes(bfloatValue, 0x7f80), x)
}

test('f32 is copied', () => {
  instance.clear()
  const x = instance.reserve(64)
  const y = instance.reserve(64)
  const z = instance.reserve(64)
  instance.f32(x, 7).set([1, -2, 3, 0.5, 1e-40, 6, 7])
  kernels.widen(x, 0, y, 7)
  kernels.narrow(y, z, 0, 7)
  expect(instance.u32(z, 7)).toEqual(instance.u32(x, 7))
})

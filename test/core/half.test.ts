import { describe, expect, it } from 'vitest'
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from '../../src/core/half.ts'

const kinds = [
  { name: 'float16', widen: float16ToFloat32, narrow: float32ToFloat16, infinity: 0x7c00 },
  { name: 'bfloat16', widen: bfloat16ToFloat32, narrow: float32ToBfloat16, infinity: 0x7f80 },
]

const SMALLEST_NORMAL = 2 ** -125

function isBetween(narrow: (value: number) => number, middle: number, bits: number): boolean {
  const below = narrow(Math.fround(middle * (1 - 2 ** -23)))
  const above = narrow(Math.fround(middle * (1 + 2 ** -22)))
  return below === bits && above === bits + 1
}

describe.each(kinds)('$name', ({ widen, narrow, infinity }) => {
  it('comes back from float32 as it was, all 65,536 patterns', () => {
    const wrong: number[] = []
    for (let bits = 0; bits < 65536; bits++) {
      const value = widen(bits)
      const same = Number.isNaN(value) ? Number.isNaN(widen(narrow(value))) : narrow(value) === bits
      if (!same) {
        wrong.push(bits)
      }
    }
    expect(wrong).toEqual([])
  })

  it('rounds to nearest, ties to even, between all neighbours', () => {
    const wrong: number[] = []
    for (let bits = 0; bits < infinity - 1; bits++) {
      const middle = Math.fround((widen(bits) + widen(bits + 1)) / 2)
      const even = bits % 2 === 0 ? bits : bits + 1
      const ties = narrow(middle) === even && narrow(-middle) === (even | 0x8000)
      // Below the normal numbers of float32 there is nothing between the middle and its neighbours.
      const near = middle < SMALLEST_NORMAL || isBetween(narrow, middle, bits)
      if (!ties || !near) {
        wrong.push(bits)
      }
    }
    expect(wrong).toEqual([])
  })

  it('keeps NaN what it is, whatever its bits', () => {
    const payloads = Float32Array.from({ length: 3 })
    new Uint32Array(payloads.buffer).set([0x7fffffff, 0xffffffff, 0x7f800001])
    for (const value of payloads) {
      expect(widen(narrow(value))).toBeNaN()
    }
  })

  it('overflows to infinity and keeps zeros apart', () => {
    expect(narrow(3.4e38)).toBe(infinity)
    expect(narrow(Number.NEGATIVE_INFINITY)).toBe(infinity | 0x8000)
    expect(narrow(-0)).toBe(0x8000)
    expect(Object.is(widen(0x8000), -0)).toBe(true)
  })
})

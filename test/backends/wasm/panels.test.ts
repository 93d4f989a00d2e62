// pack_panels, unpack_panels and gather_rows against the index formula of the panel layout, in every
// dtype and around multiples of eight rows, with guard words behind every output.
import { describe, expect, test } from 'vitest'
import { binary as core } from '../../../src/backends/wasm/binaries/core.ts'
import { bfloatValue, halfValue } from '../../support/halves.ts'
import { KernelInstance } from '../../support/instance.ts'

const instance = new KernelInstance(core.module(), 8)
const { kernels } = instance
const GUARD = 0x7fc0dead

const bits = new Uint32Array(1)
const asFloat = new Float32Array(bits.buffer)

function floatValue(word: number): number {
  bits[0] = word
  return asFloat[0]
}

const formats = [
  { format: 0, name: 'f32', bytes: 4, value: floatValue },
  { format: 1, name: 'f16', bytes: 2, value: halfValue },
  { format: 2, name: 'bf16', bytes: 2, value: bfloatValue },
]

const sizes = [0, 1, 3, 7, 8, 9, 15, 16, 17, 24]
const widths = [0, 1, 3, 4, 8, 11, 32]

/** Distinct finite patterns. */
function pattern(index: number, bytes: number): number {
  return bytes === 4 ? 0x3f000000 + 977 * index : 0x3000 + ((index * 37) & 0x7ff)
}

function cells(address: number, length: number, bytes: number): Uint32Array | Uint16Array {
  return bytes === 4 ? instance.u32(address, length) : instance.u16(address, length)
}

/** A row-major matrix and its panels, as the formula says. */
function stored(O: number, I: number, bytes: number): { rows: number; panels: number } {
  const rows = instance.reserve(O * I * bytes)
  cells(rows, O * I, bytes).forEach((_, i, all) => {
    all[i] = pattern(i, bytes)
  })
  const padded = Math.ceil(O / 8) * 8
  const panels = instance.reserve(padded * I * bytes)
  const to = cells(panels, padded * I, bytes).fill(0)
  for (let o = 0; o < O; o++) {
    for (let i = 0; i < I; i++) {
      to[(Math.floor(o / 8) * I + i) * 8 + (o % 8)] = pattern(o * I + i, bytes)
    }
  }
  return { rows, panels }
}

describe.each(formats)('$name', ({ format, bytes, value }) => {
  test('pack_panels lays out and pads', () => {
    for (const O of sizes) {
      for (const I of widths) {
        instance.clear()
        const { rows, panels } = stored(O, I, bytes)
        const length = Math.ceil(O / 8) * 8 * I
        const packed = instance.reserve(length * bytes + 64)
        cells(packed, length + 16, bytes).fill(GUARD)
        kernels.pack_panels(rows, format, packed, O, I)
        expect(cells(packed, length, bytes)).toEqual(cells(panels, length, bytes))
        expect(
          cells(packed + length * bytes, 16, bytes).every(
            x => x === (GUARD & (bytes === 4 ? -1 : 0xffff)),
          ),
        ).toBe(true)
      }
    }
  })

  test.each([0, 4])('unpack_panels gives the rows back (format + %i)', layout => {
    for (const O of sizes) {
      for (const I of widths) {
        instance.clear()
        const { panels } = stored(O, I, bytes)
        const y = instance.reserve(4 * O * I + 64)
        instance.u32(y, O * I + 16).fill(GUARD)
        kernels.unpack_panels(panels, format + layout, y, O, I)
        const expected = Array.from({ length: O * I }, (_, i) => value(pattern(i, bytes)))
        expect([...instance.f32(y, O * I)]).toEqual(expected)
        expect(instance.u32(y + 4 * O * I, 16).every(x => x === GUARD)).toBe(true)
      }
    }
  })

  test.each(['rows', 'panels'] as const)('gather_rows from %s', layout => {
    for (const C of widths) {
      instance.clear()
      const V = 21
      const source = stored(V, C, bytes)
      const wanted = [20, 0, 7, 8, 8, 15, 16]
      const index = instance.reserve(4 * wanted.length)
      instance.i32(index, wanted.length).set(wanted)
      const length = wanted.length * C
      const y = instance.reserve(4 * length + 64)
      instance.u32(y, length + 16).fill(GUARD)
      const w = source[layout]
      kernels.gather_rows(w, format + (layout === 'panels' ? 4 : 0), index, y, wanted.length, V, C)
      const expected = wanted.flatMap(row =>
        Array.from({ length: C }, (_, i) => value(pattern(row * C + i, bytes))),
      )
      expect([...instance.f32(y, length)]).toEqual(expected)
      expect(instance.u32(y + 4 * length, 16).every(x => x === GUARD)).toBe(true)
    }
  })
})

// The static data of the WASM families: each in its own part of the memory, below the heap.

import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  checkStaticData,
  HEAP_START,
  MEMORY_BASE,
  memoryBase,
  staticData,
} from '../../scripts/static-data.mjs'
import * as families from '../../src/backends/wasm/families.ts'

/** A module of nothing but `count` zeros at `start`, as LEB128 of up to three bytes each. */
function moduleWith(start: number, count: number): Uint8Array {
  const leb = (n: number): number[] => [(n & 127) | 128, ((n >> 7) & 127) | 128, n >> 14]
  const data = [1, 0, 0x41, ...leb(start), 0x0b, ...leb(count), ...new Array<number>(count).fill(0)]
  return Uint8Array.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 11, ...leb(data.length), ...data])
}

describe('static data', () => {
  it.each(Object.entries(families))('of %s is where it may be', (family, binary) => {
    expect(() => checkStaticData(family, binary.bytes?.() as Uint8Array)).not.toThrow()
  })

  it('has a place for each family, and for no other', () => {
    const folders = readdirSync(new URL('../../assembly/', import.meta.url), {
      withFileTypes: true,
    })
    const named = folders.filter(entry => entry.isDirectory()).map(({ name }) => name)
    expect(Object.keys(MEMORY_BASE).sort()).toEqual(named.sort())
    expect(() => memoryBase('quant')).toThrow('quant: expected a place in MEMORY_BASE')
  })

  it('is read as it was compiled', () => {
    expect(staticData(moduleWith(4096, 300))).toEqual([{ start: 4096, end: 4396 }])
    expect(staticData(families.transformer.bytes?.() as Uint8Array)[0].start).toBe(4096)
  })

  it('ends before that of the next family, and before the heap', () => {
    const last = MEMORY_BASE.losses
    const room = HEAP_START - last
    expect(() => checkStaticData('core', moduleWith(1024, 3072))).not.toThrow()
    expect(() => checkStaticData('core', moduleWith(1024, 3073))).toThrow(
      'core: expected static data in [1024, 4096), got [1024, 4097)',
    )
    expect(() => checkStaticData('core', moduleWith(1023, 1))).toThrow('got [1023, 1024)')
    expect(() => checkStaticData('losses', moduleWith(last, room))).not.toThrow()
    expect(() => checkStaticData('losses', moduleWith(last, room + 1))).toThrow('[40960, 65536)')
  })

  it('knows where the heap starts', () => {
    const backend = readFileSync(
      new URL('../../src/backends/wasm/backend.ts', import.meta.url),
      'utf8',
    )
    expect(backend).toContain(`const HEAP_START = ${HEAP_START}\n`)
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ALIGNMENT, Heap } from '../../../src/backends/wasm/heap.ts'

const PAGE = 65536
const make = (pages = 1, maximum = 512): { heap: Heap; memory: WebAssembly.Memory } => {
  const memory = new WebAssembly.Memory({ initial: pages, maximum })
  return { heap: new Heap(memory, 0), memory }
}

describe('the heap', () => {
  it('hands out aligned blocks that do not overlap, and takes every byte back', () => {
    const step = fc.record({ size: fc.integer({ min: 0, max: 200_000 }), free: fc.nat(30) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), steps => {
        const { heap, memory } = make()
        const live: { offset: number; size: number }[] = []
        for (const { size, free } of steps) {
          const offset = heap.allocate(size)
          expect(offset % ALIGNMENT).toBe(0)
          expect(offset + size).toBeLessThanOrEqual(memory.buffer.byteLength)
          for (const other of live) {
            expect(offset + size <= other.offset || other.offset + other.size <= offset).toBe(true)
          }
          live.push({ offset, size: Math.max(size, 1) })
          if (free < live.length) {
            heap.free(live.splice(free, 1)[0].offset)
          }
        }
        for (const { offset } of live) {
          heap.free(offset)
        }
        expect(heap.used).toBe(0)
        // All neighbours merged: one block of everything fits without growing.
        const { byteLength } = memory.buffer
        heap.allocate(byteLength - PAGE)
        expect(memory.buffer.byteLength).toBe(byteLength)
      }),
    )
  })

  it('uses the same memory again for the same pattern', () => {
    const { heap, memory } = make()
    const round = (): void => {
      const blocks = [10_000, 70_000, 300, 128, 40_000].map(size => heap.allocate(size))
      for (const block of blocks.reverse()) {
        heap.free(block)
      }
    }
    round()
    const { byteLength } = memory.buffer
    for (let i = 0; i < 500; i++) {
      round()
    }
    expect(memory.buffer.byteLength).toBe(byteLength)
    expect(heap.used).toBe(0)
  })

  it('uses the last block where it fits exactly, though its class starts lower', () => {
    const { heap, memory } = make(2)
    const { byteLength } = memory.buffer
    // One unit less than all: the search is for the next class up, which has no block.
    heap.allocate(byteLength - ALIGNMENT)
    expect(memory.buffer.byteLength).toBe(byteLength)
  })

  it('reports the peak', () => {
    const { heap } = make()
    const block = heap.allocate(6400)
    heap.free(block)
    expect([heap.used, heap.peak]).toEqual([0, 6400])
    heap.resetPeak()
    expect(heap.peak).toBe(0)
  })

  it('says so when memory cannot grow, and stays usable', () => {
    const { heap } = make(1, 2)
    const block = heap.allocate(PAGE)
    expect(() => heap.allocate(4 * PAGE)).toThrow('cannot grow beyond')
    heap.free(block)
    expect(heap.allocate(1000)).toBeGreaterThanOrEqual(0)
  })

  it('refuses to free twice', () => {
    const { heap } = make()
    const block = heap.allocate(10)
    heap.free(block)
    expect(() => heap.free(block)).toThrow('freed twice')
  })
})

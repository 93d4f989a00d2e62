// Memory that runs out: scratch that cannot grow overlaps nothing afterwards, sizes beyond what 32 bits
// address are refused before anything is computed, and limits that are none are errors of their own.

import { describe, expect, it } from 'vitest'
import { reference } from '../../../src/backends/reference/index.ts'
import { WasmBackend } from '../../../src/backends/wasm/backend.ts'
import { binary as core } from '../../../src/backends/wasm/binaries/core.ts'
import { Heap } from '../../../src/backends/wasm/heap.ts'
import { wasm } from '../../../src/backends/wasm/index.ts'
import { ThreadedBackend } from '../../../src/backends/wasm/threads/backend.ts'
import { wasm as relaxed } from '../../../src/backends/wasm_relaxed/index.ts'
import type { Backend, Floats } from '../../../src/core/backend.ts'
import { tensor } from '../../../src/core/tensor.ts'
import { expand } from '../../../src/ops/expand.ts'

const MIB = 2 ** 20
const LARGER = (3 * MIB) / 4

const limited: readonly [string, () => Backend][] = [
  ['one thread', () => new WasmBackend({ core, maximumBytes: 4 * MIB })],
  ['three threads', () => new ThreadedBackend(core, 3, 4 * MIB)],
]

/** Scratch after an attempt to enlarge it that `taken` made fail. */
function scratchAfterRefusal(backend: Backend, taken: number): Floats {
  backend.scratch(64)
  const rest = backend.allocate('float32', taken)
  expect(() => backend.scratch(LARGER)).toThrowError(expect.objectContaining({ code: 'memory' }))
  backend.release(rest)
  return backend.scratch(64)
}

describe.each(limited)('scratch that cannot grow, with %s', (_, make) => {
  it('overlaps nothing afterwards', () => {
    const backend = make()
    const scratch = scratchAfterRefusal(backend, LARGER)
    const blocks = Array.from({ length: 40 }, () => backend.allocate('float32', 64))
    expect(blocks).not.toContain(scratch)
    expect(new Set(blocks).size).toBe(40)
  })

  it('leaves nothing behind, however often it fails', () => {
    const backend = make()
    scratchAfterRefusal(backend, LARGER)
    const { used } = backend.memory()
    for (let i = 0; i < 5; i++) {
      scratchAfterRefusal(backend, LARGER)
    }
    expect(backend.memory().used).toBe(used)
  })

  it('grows once there is room', () => {
    const backend = make()
    scratchAfterRefusal(backend, LARGER)
    const count = LARGER / 4
    const scratch = backend.scratch(count) as unknown as number
    const other = backend.allocate('float32', 64) as unknown as number
    expect(other >= scratch + 4 * count || other + 256 <= scratch).toBe(true)
  })
})

describe('a size beyond 4 GiB', () => {
  const heap = (): Heap => new Heap(new WebAssembly.Memory({ initial: 1, maximum: 2 }), 0)

  it.each([2 ** 32 + 1, 2 ** 38, 2 ** 38 + 2 ** 16, 2 ** 50, Number.POSITIVE_INFINITY])(
    'is refused: %d bytes',
    bytes => {
      expect(() => heap().allocate(bytes)).toThrowError(expect.objectContaining({ code: 'memory' }))
    },
  )

  it.each([
    ['wasm', wasm],
    ['reference', reference],
  ] as const)('is a memory error on %s, and uses nothing', (_, make) => {
    const backend = make()
    const one = tensor([1], [1], { backend })
    const { used } = backend.memory()
    const size = 2 ** 36 + 2 ** 14
    expect(() => expand(one, [size])).toThrowError(expect.objectContaining({ code: 'memory' }))
    expect([...expand(one, [3]).dataSync()]).toEqual([1, 1, 1])
    expect(backend.memory().used).toBe(used)
  })
})

describe('maximumBytes', () => {
  const wrong = [Number.NaN, -1, 0, 1.5 * MIB + 0.5, 2 ** 18 - 1, 2 ** 32 + 1, 8 * 2 ** 30, '1 GB']
  const makers: readonly [string, (maximumBytes: number) => Backend][] = [
    ['one thread', maximumBytes => wasm({ maximumBytes })],
    ['threads', maximumBytes => wasm({ maximumBytes, threads: 2 })],
    ['relaxed SIMD', maximumBytes => relaxed({ maximumBytes })],
  ]

  it.each(makers)('is refused where it is no size of memory, with %s', (_, make) => {
    for (const bytes of wrong) {
      expect(() => make(bytes as number)).toThrowError(
        expect.objectContaining({
          code: 'argument',
          message: `wasm: maximumBytes: expected a whole number from 262144 to 4294967296, got ${bytes}`,
        }),
      )
    }
  })

  it.each(makers)('may be the least and the most, with %s', (_, make) => {
    expect(make(2 ** 18).memory().reserved).toBe(2 ** 18)
    expect(make(2 ** 32).memory().reserved).toBe(2 ** 18)
  })
})

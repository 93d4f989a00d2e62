// A WASM backend that computes each call of a kernel that threads share again from the same memory, in the parts that
// 2 and 5 threads would take, and compares all memory with what the whole call left.

import { expect } from 'vitest'
import { type Exports, type KernelImports, WasmBackend } from '../../src/backends/wasm/backend.ts'
import { binary as core } from '../../src/backends/wasm/binaries/core.ts'
import { partOf, type Split, startsOf } from '../../src/backends/wasm/threads/split.ts'
import { SPLITS } from '../../src/backends/wasm/threads/splits.ts'
import type { Binary, Floats } from '../../src/core/backend.ts'

/** A kernel, and the memory that it works in. */
interface Subject {
  readonly name: string
  readonly kernel: Exports[string]
  readonly memory: WebAssembly.Memory
  /** All bytes but those of scratch: what is left there is nobody's. */
  contents(): Uint8Array
  /** Kernels of which parts were computed. */
  readonly seen: Set<string>
}

/** Parts of a call in one order or the other: none may read what another writes. */
function checkParts(subject: Subject, operands: number[], split: Split): void {
  const { name, kernel, memory, contents, seen } = subject
  const before = new Uint8Array(memory.buffer).slice()
  kernel(...operands)
  const want = contents()
  for (const threads of [2, 5]) {
    const starts = startsOf(split, threads)
    const parts = starts
      .slice(1)
      .map((end, i) => () => kernel(...partOf(operands, split, starts[i], end)))
    for (const order of [parts, parts.toReversed()]) {
      new Uint8Array(memory.buffer).set(before)
      order.forEach(part => void part())
      const same = Buffer.compare(contents(), want) === 0
      expect(same, `${name} in parts from ${starts}`).toBe(true)
    }
  }
  seen.add(name)
}

type Scratch = [begin: number, end: number]

/** The kernels of a binary; those that can be split compare their parts with the whole. */
function comparing(
  binary: Binary,
  imports: KernelImports,
  scratch: Scratch,
  seen: Set<string>,
): Exports {
  const { memory } = imports.env
  const { exports } = new WebAssembly.Instance(binary.module(), imports)
  const kernels = { ...(exports as Exports) }
  const contents = (): Uint8Array => new Uint8Array(memory.buffer).slice().fill(0, ...scratch)
  for (const name of Object.keys(kernels).filter(known => known in SPLITS)) {
    const kernel = kernels[name]
    kernels[name] = (...operands) => {
      const split = SPLITS[name](operands)
      if (!split) {
        return kernel(...operands)
      }
      checkParts({ name, kernel, memory, contents, seen }, operands, split)
      return 0
    }
  }
  return kernels
}

/** The backend; `seen` collects the names of kernels that were compared. */
export class PartsBackend extends WasmBackend {
  readonly #scratch: Scratch

  constructor(seen: Set<string>) {
    const scratch: Scratch = [0, 0]
    super({ core, instantiate: (binary, imports) => comparing(binary, imports, scratch, seen) })
    this.#scratch = scratch
  }

  override scratch(count: number): Floats {
    const buffer = super.scratch(count)
    const [begin, end] = this.#scratch
    const at = buffer as unknown as number
    this.#scratch[0] = at
    this.#scratch[1] = Math.max(begin === at ? end : 0, at + 4 * count)
    return buffer
  }
}

// A backend that only counts: kernels do nothing, buffers are numbers. A step run on it needs, byte
// for byte, the room that a real step would, and takes no memory.

import type { Backend, Floats, KernelSet, MemoryReport } from '../core/backend.ts'
import { BYTES, type DType, type TypedArray } from '../core/dtype.ts'

/** What one allocation is rounded up to, as in the WASM heap. */
const ALIGNMENT = 64
const PANEL_WIDTH = 8

const idle = /* @__PURE__ */ new Proxy({}, { get: () => () => undefined })

export class CountingBackend implements Backend {
  readonly name: string = 'plan'
  readonly reproducible: boolean = true
  readonly synchronous: boolean = true
  readonly virtual: boolean = true
  readonly precision = 32
  readonly #sizes: Map<number, number> = new Map()
  #next = 0
  #used = 0
  #peak = 0
  #scratch = 0

  kernels<K>(_set: KernelSet<K>): K {
    return idle as K
  }

  allocate(dtype: DType, count: number): Floats {
    return this.#take(count * BYTES[dtype])
  }

  release(buffer: Floats): void {
    const key = buffer as unknown as number
    this.#used -= this.#sizes.get(key) ?? 0
    this.#sizes.delete(key)
  }

  write(): void {}

  read(_buffer: Floats, dtype: DType, count: number): TypedArray {
    return dtype === 'int32' ? new Int32Array(count) : new Float32Array(count)
  }

  async readAsync(buffer: Floats, dtype: DType, count: number): Promise<TypedArray> {
    return this.read(buffer, dtype, count)
  }

  scratch(count: number): Floats {
    const grown = Math.max(this.#scratch, count)
    this.#used += (grown - this.#scratch) * 4
    this.#scratch = grown
    this.#peak = Math.max(this.#peak, this.#used)
    return -1 as unknown as Floats
  }

  pack(_buffer: Floats, dtype: DType, rows: number, cols: number): Floats {
    return this.#take(Math.ceil(rows / PANEL_WIDTH) * PANEL_WIDTH * cols * BYTES[dtype])
  }

  unpack(): void {}

  memory(): MemoryReport {
    const { name: backend, reproducible } = this
    return { backend, reproducible, used: this.#used, peak: this.#peak, reserved: this.#used }
  }

  resetPeak(): void {
    this.#peak = this.#used
  }

  #take(bytes: number): Floats {
    const size = Math.max(1, Math.ceil(bytes / ALIGNMENT)) * ALIGNMENT
    const key = this.#next++
    this.#sizes.set(key, size)
    this.#used += size
    this.#peak = Math.max(this.#peak, this.#used)
    return key as unknown as Floats
  }
}

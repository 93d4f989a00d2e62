// WASM behind the manners of a GPU: nothing is read at once, reads are counted and answered later with
// what the elements were at the moment of the call. What must not wait is tested on it anywhere.

import { wasm } from '../../src/backends/wasm/index.ts'
import type { Backend, Floats, KernelSet, MemoryReport } from '../../src/core/backend.ts'
import type { DType, TypedArray } from '../../src/core/dtype.ts'
import { LowrankError } from '../../src/core/errors.ts'

export class DeferredBackend implements Backend {
  readonly name: string = 'deferred'
  readonly reproducible: boolean = true
  readonly synchronous: boolean = false
  readonly precision = 32
  /** How often something was read. */
  reads = 0
  readonly #inner: Backend = wasm()

  kernels<K>(set: KernelSet<K>): K {
    return this.#inner.kernels(set)
  }

  allocate(dtype: DType, count: number): Floats {
    return this.#inner.allocate(dtype, count)
  }

  release(buffer: Floats): void {
    this.#inner.release(buffer)
  }

  write(buffer: Floats, dtype: DType, data: TypedArray): void {
    this.#inner.write(buffer, dtype, data)
  }

  read(): TypedArray {
    throw new LowrankError('backend', 'dataSync: deferred cannot be read without waiting')
  }

  async readAsync(buffer: Floats, dtype: DType, count: number): Promise<TypedArray> {
    this.reads++
    const then = this.#inner.read(buffer, dtype, count)
    await new Promise(resolve => setTimeout(resolve, 0))
    return then
  }

  scratch(count: number): Floats {
    return this.#inner.scratch(count)
  }

  memory(): MemoryReport {
    return this.#inner.memory()
  }

  resetPeak(): void {
    this.#inner.resetPeak()
  }
}

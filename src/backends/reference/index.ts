// The reference backend: float64 arrays and the plain loops beside each op. It is the specification;
// the other backends are compared with it.

import type { Backend, Floats, KernelSet, MemoryReport } from '../../core/backend.ts'
import type { DType, TypedArray } from '../../core/dtype.ts'
import { isHalf } from '../../core/dtype.ts'
import { LowrankError } from '../../core/errors.ts'
import { narrow, widen } from '../../core/half.ts'

type Buffer = Float64Array | Int32Array

export interface ReferenceOptions {
  /** Set where `reference` stands in for a backend that is refused: inference goes on, slowly. */
  readonly inferenceOnly?: string
}

class ReferenceBackend implements Backend {
  readonly name: string = 'reference'
  // Its sums are f64 and exact in order, but promised bits are those of the WASM build alone.
  readonly reproducible: boolean = false
  readonly synchronous: boolean = true
  readonly precision = 64
  readonly inferenceOnly: string | undefined
  #used = 0
  #peak = 0
  #scratch: Float64Array = new Float64Array(0)

  constructor(options: ReferenceOptions) {
    this.inferenceOnly = options.inferenceOnly
  }

  kernels<K>(set: KernelSet<K>): K {
    return set.reference
  }

  allocate(dtype: DType, count: number): Floats {
    const buffer = made(dtype, count)
    this.#used += buffer.byteLength
    this.#peak = Math.max(this.#peak, this.#used)
    return buffer
  }

  release(buffer: Floats): void {
    this.#used -= (buffer as Buffer).byteLength
  }

  write(buffer: Floats, dtype: DType, data: TypedArray): void {
    const elements = data instanceof Uint16Array ? widen(data, halfOf(dtype)) : data
    ;(buffer as Buffer).set(elements)
  }

  read(buffer: Floats, dtype: DType, _count: number): TypedArray {
    return isHalf(dtype) ? narrow(buffer, halfOf(dtype)) : (buffer as Buffer).slice()
  }

  async readAsync(buffer: Floats, dtype: DType, count: number): Promise<TypedArray> {
    return this.read(buffer, dtype, count)
  }

  scratch(count: number): Floats {
    if (count > this.#scratch.length) {
      this.#scratch = new Float64Array(count)
    }
    return this.#scratch
  }

  memory(): MemoryReport {
    return {
      backend: this.name,
      reproducible: this.reproducible,
      used: this.#used,
      peak: this.#peak,
      reserved: this.#used,
    }
  }

  resetPeak(): void {
    this.#peak = this.#used
  }
}

function made(dtype: DType, count: number): Buffer {
  try {
    return dtype === 'int32' ? new Int32Array(count) : new Float64Array(count)
  } catch (cause) {
    throw new LowrankError(
      'memory',
      `reference: no array of ${count} elements can be made here (smaller batches need less)`,
      { cause },
    )
  }
}

function halfOf(dtype: DType): 'float16' | 'bfloat16' {
  return dtype === 'float16' ? 'float16' : 'bfloat16'
}

/**
 * A backend of plain loops in float64: slow, exact, and readable.
 *
 * @example
 * ```ts
 * import { matmul, tensor, withBackend } from 'lowrank'
 * import { reference } from 'lowrank/reference'
 *
 * const y = withBackend(reference(), () => matmul(tensor([1, 2], [1, 2]), tensor([3, 4], [2, 1])))
 * console.log(await y.data()) // Float64Array [11]
 * ```
 */
export function reference(options: ReferenceOptions = {}): Backend {
  return new ReferenceBackend(options)
}

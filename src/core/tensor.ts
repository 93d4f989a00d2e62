// A tensor: shape, element type, and a storage that a backend or JavaScript holds. Contiguous,
// row-major. Tensors are values; only parameters are written to after they were made.

import { type Backend, currentBackend, type Floats } from './backend.ts'
import type { DType, TypedArray } from './dtype.ts'
import { LowrankError } from './errors.ts'
import { narrow, widen } from './half.ts'
import { acquire, hostOf, hostStorage, release, Storage, usedAfterScope } from './scope.ts'
import { checkShape, countOf, formatShape, type Shape } from './shape.ts'

/** What `data()` gives: float64 on the reference backend, float32 elsewhere, int32 for integers. */
export type TensorData = Float32Array | Float64Array | Int32Array

/** The recorded op a tensor came from; only the tape reads it. */
export interface Origin {
  readonly consumed: boolean
}

export interface TensorOptions {
  readonly dtype?: DType
  /** The backend that owns the tensor; the current one if absent. */
  readonly backend?: Backend
  /** Whether `backward` leaves a gradient in `grad`. */
  readonly requiresGrad?: boolean
}

function readBack(storage: Storage): TypedArray {
  const { backend, dtype, count, packed } = storage
  if (!packed) {
    return backend.read(storage.buffer as Floats, dtype, count)
  }
  const rows = backend.allocate('float32', count)
  backend.unpack?.(storage.buffer as Floats, dtype, packed[0], packed[1], rows)
  const data = backend.read(rows, 'float32', count)
  backend.release(rows)
  return data
}

function widened(data: TypedArray, dtype: DType): TensorData {
  return data instanceof Uint16Array
    ? widen(data, dtype === 'float16' ? 'float16' : 'bfloat16')
    : data
}

/**
 * Numbers with a shape.
 *
 * @example
 * ```ts
 * import { tensor } from 'lowrank'
 *
 * const x = tensor([1, 2, 3, 4, 5, 6], [2, 3])
 * console.log(x.shape, await x.data()) // [2, 3] Float32Array [1, 2, 3, 4, 5, 6]
 * ```
 */
export class Tensor<S extends Shape = Shape> {
  readonly shape: S
  storage: Storage
  requiresGrad = false
  /** The gradient that `backward` left, for tensors made with `requiresGrad`. */
  grad: Tensor | undefined = undefined
  origin: Origin | undefined = undefined

  constructor(storage: Storage, shape: S) {
    this.storage = storage
    this.shape = shape
  }

  get dtype(): DType {
    return this.storage.dtype
  }

  get backend(): Backend {
    return this.storage.backend
  }

  /** The number of elements. */
  get size(): number {
    return this.storage.count
  }

  /** A copy of the elements; half precision is widened. Works on every backend. */
  async data(): Promise<TensorData> {
    const { storage } = this
    if (storage.backend.synchronous || hostOf(storage)) {
      return this.dataSync()
    }
    if (storage.buffer === undefined) {
      throw usedAfterScope()
    }
    const data = await storage.backend.readAsync(storage.buffer, storage.dtype, storage.count)
    return widened(data, storage.dtype)
  }

  /** A copy of the elements, at once; a `backend` error where reading must wait. */
  dataSync(): TensorData {
    return widened(this.bits(), this.dtype)
  }

  /** A copy of the elements as they are stored: half precision as a Uint16Array of bits. */
  bits(): TypedArray {
    const { storage } = this
    const host = hostOf(storage)
    if (host) {
      return host.slice()
    }
    if (storage.buffer === undefined) {
      throw usedAfterScope()
    }
    return readBack(storage)
  }

  /** The one element of a one-element tensor. */
  async item(): Promise<number> {
    return this.#only(await this.data())
  }

  itemSync(): number {
    return this.#only(this.dataSync())
  }

  #only(data: TensorData): number {
    if (data.length !== 1) {
      throw new LowrankError(
        'shape',
        `item: expected one element, got ${data.length} of shape ${formatShape(this.shape)}`,
      )
    }
    return data[0]
  }
}

function hostArray(data: ArrayLike<number>, dtype: DType, backend: Backend): TypedArray {
  if (dtype === 'int32') {
    return Int32Array.from(data)
  }
  if (dtype === 'float16' || dtype === 'bfloat16') {
    return data instanceof Uint16Array ? data.slice() : narrow(data, dtype)
  }
  return backend.precision === 64 ? Float64Array.from(data) : Float32Array.from(data)
}

/** A storage that JavaScript owns, with a copy of `data` in the backend's host form. */
export function storageOf(data: ArrayLike<number>, dtype: DType, backend: Backend): Storage {
  return hostStorage(backend, dtype, hostArray(data, dtype, backend))
}

/** A storage whose elements are made on first use. */
export function lazyStorage(
  make: () => ArrayLike<number>,
  count: number,
  dtype: DType,
  backend: Backend,
): Storage {
  const storage = new Storage(backend, dtype, count, 'host')
  storage.pending = () => hostArray(make(), dtype, backend)
  return storage
}

/**
 * A tensor from a flat array, row by row. For half precision a Uint16Array holds bits, any other
 * array numbers to be rounded. Throws a `shape` error if the count does not fit.
 *
 * @example
 * ```ts
 * import { tensor } from 'lowrank'
 *
 * const w = tensor(new Float32Array(6), [2, 3])
 * const scalar = tensor([3], [])
 * console.log(w.size, scalar.size) // 6 1
 * ```
 */
export function tensor<const S extends Shape>(
  data: ArrayLike<number>,
  shape: S,
  options: TensorOptions = {},
): Tensor<S> {
  checkShape('tensor', shape)
  if (data.length !== countOf(shape)) {
    throw new LowrankError(
      'shape',
      `tensor: ${formatShape(shape)} has ${countOf(shape)} elements, got ${data.length}`,
    )
  }
  const backend = options.backend ?? currentBackend()
  const made = new Tensor(storageOf(data, options.dtype ?? 'float32', backend), shape)
  made.requiresGrad = options.requiresGrad ?? false
  return made
}

// A net only: what a user forgets to dispose goes back when its tensor is collected.
const forgotten = /* @__PURE__ */ new FinalizationRegistry((storage: Storage) => {
  if (storage.owner === 'persistent') {
    release(storage)
  }
})

/** A tensor that belongs to no scope: parameters, optimizer state, caches. `dispose` frees it. */
export class PersistentTensor<S extends Shape = Shape> extends Tensor<S> {
  constructor(storage: Storage, shape: S) {
    super(storage, shape)
    storage.owner = 'persistent'
    forgotten.register(this, storage)
  }

  /** The buffer, to be written to; uploaded on first use and kept. */
  buffer(): Floats {
    this.storage.writes++
    return acquire(this.storage)
  }

  dispose(): void {
    if (this.storage.owner === 'persistent') {
      release(this.storage)
    }
  }
}

/** A persistent tensor of zeros on the backend. */
export function persistentZeros<const S extends Shape>(
  backend: Backend,
  shape: S,
): PersistentTensor<S> {
  return new PersistentTensor(
    storageOf(new Float32Array(countOf(shape)), 'float32', backend),
    shape,
  )
}

// A parameter: a persistent tensor with a name, that is either trained (float32, with a gradient
// buffer that stays) or frozen (in its stored dtype, never written, perhaps in the backend's
// private layout).

import { currentBackend } from './backend.ts'
import type { DType } from './dtype.ts'
import { isHalf } from './dtype.ts'
import { LowrankError } from './errors.ts'
import { release, unpackFrozen } from './scope.ts'
import { countOf, formatShape, type Shape } from './shape.ts'
import {
  lazyStorage,
  PersistentTensor,
  persistentZeros,
  storageOf,
  type TensorOptions,
} from './tensor.ts'

function checkCount(where: string, data: ArrayLike<number>, shape: Shape): void {
  if (data.length !== countOf(shape)) {
    throw new LowrankError(
      'shape',
      `${where}: ${formatShape(shape)} has ${countOf(shape)} elements, got ${data.length}`,
    )
  }
}

/**
 * A named tensor that a module owns.
 *
 * @example
 * ```ts
 * import { Parameter } from 'lowrank'
 *
 * const w = new Parameter([0.5, -0.5], [2])
 * w.freeze()
 * console.log(w.requiresGrad) // false
 * ```
 */
export class Parameter<S extends Shape = Shape> extends PersistentTensor<S> {
  /** The path inside the model, set when a model is built: `layers.0.q_proj.weight`. */
  name = ''
  /** Whether `grad` holds the gradient of this step; a parameter without one is not updated. */
  hasGrad = false
  declare grad: PersistentTensor | undefined

  /** `data` is the elements, or a function that makes them on first use. */
  constructor(
    data: ArrayLike<number> | (() => ArrayLike<number>),
    shape: S,
    options: TensorOptions = {},
  ) {
    const dtype: DType = options.dtype ?? 'float32'
    const backend = options.backend ?? currentBackend()
    const count = countOf(shape)
    if (typeof data === 'function') {
      super(lazyStorage(data, count, dtype, backend), shape)
    } else {
      checkCount('Parameter', data, shape)
      super(storageOf(data, dtype, backend), shape)
    }
    this.requiresGrad = options.requiresGrad ?? !isHalf(dtype)
  }

  /** Stops training this parameter; its gradient is released. */
  freeze(): void {
    this.requiresGrad = false
    this.clearGrad()
    this.grad?.dispose()
    this.grad = undefined
  }

  /** Trains this parameter: half precision becomes float32, a private layout becomes rows. */
  unfreeze(): void {
    if (isHalf(this.dtype)) {
      this.replace(this.dataSync(), 'float32')
    }
    unpackFrozen(this.storage)
    this.requiresGrad = true
  }

  /** Overwrites all elements. Throws a `shape` error unless the count is the same. */
  replace(data: ArrayLike<number>, dtype: DType = this.dtype): void {
    checkCount(this.name || 'Parameter', data, this.shape)
    const next = storageOf(data, dtype, this.backend)
    release(this.storage)
    next.owner = 'persistent'
    this.storage = next
  }

  /** The gradient buffer, made on first use and kept from then on. */
  gradient(): PersistentTensor {
    this.grad ??= persistentZeros(this.backend, this.shape)
    return this.grad
  }

  /** Forgets the gradient; the next one overwrites the buffer. */
  clearGrad(): void {
    this.hasGrad = false
  }

  override dispose(): void {
    this.grad?.dispose()
    this.grad = undefined
    super.dispose()
  }
}

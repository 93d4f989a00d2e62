// Indices that a user gave are checked before they reach a kernel: kernels don't validate, and a
// position out of range would read foreign memory.

import { LowrankError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'

/**
 * Throws an `argument` error unless all of `index`, where JavaScript holds it, lie in [0, size). What
 * was computed on the backend is taken to be in range.
 */
export function checkIndices(where: string, index: Tensor, size: number): void {
  const values = index.storage.host
  if (!values) {
    return
  }
  for (let i = 0; i < values.length; i++) {
    if (!(values[i] >= 0 && values[i] < size)) {
      throw new LowrankError(
        'argument',
        `${where}: expected indices from 0 to ${size - 1}, got ${values[i]} at position ${i}`,
      )
    }
  }
}

/** Throws a `dtype` error unless `index` holds integers. */
export function checkInt32(where: string, index: Tensor): void {
  if (index.dtype !== 'int32') {
    throw new LowrankError('dtype', `${where}: expected an int32 index, got ${index.dtype}`)
  }
}

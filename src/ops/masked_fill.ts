// y = value where the mask is 1, x where it is 0; the mask broadcasts to the shape of x. dx = dy where
// the mask is 0, else 0. It is `where` with a number.

import { LowrankError } from '../core/errors.ts'
import { broadcastShapes, formatShape, type Shape, sameShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { refuseIntegers } from './broadcast.ts'
import { checkMask, whereOp } from './where.ts'

/**
 * x with `value` where `mask` (int32) is not 0; the mask broadcasts to the shape of x. Throws a `dtype`
 * error for another mask or integer elements, a `shape` error where the mask does not fit.
 *
 * @example
 * ```ts
 * import { maskedFill, tensor } from 'lowrank'
 *
 * const mask = tensor([0, 1], [2], { dtype: 'int32' })
 * console.log(maskedFill(tensor([1, 2], [2]), mask, -1).dataSync()) // Float32Array [1, -1]
 * ```
 */
export function maskedFill<S extends Shape>(x: Tensor<S>, mask: Tensor, value: number): Tensor<S> {
  checkMask('maskedFill', mask)
  refuseIntegers('maskedFill', [x])
  if (!sameShape(broadcastShapes('maskedFill', x.shape, mask.shape), x.shape)) {
    throw new LowrankError(
      'shape',
      `maskedFill: the mask ${formatShape(mask.shape)} does not broadcast to ${formatShape(x.shape)}`,
    )
  }
  return whereOp([mask, undefined, x], { a: value }) as Tensor<S>
}

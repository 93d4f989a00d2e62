// slice: y = x[…, start … end − 1, …] along one axis; dx is dy there and 0 elsewhere.

import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op } from '../core/op.ts'
import { formatShape, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { axisOf } from './axes.ts'
import { copyView, elementsOf, emptyLike, type View, whole } from './strided.ts'

interface Range {
  readonly axis: number
  readonly start: number
  readonly length: number
}

export const sliceOp: Op<
  object,
  readonly [x: Tensor],
  Range,
  Tensor,
  Range & { readonly shape: Shape }
> = /* @__PURE__ */ defineOp({
  name: 'slice',
  reference: {},

  forward(context, [x], range) {
    const { axis, start, length } = range
    const shape = x.shape.map((size, i) => (i === axis ? length : size))
    const y = emptyLike(context, x, shape)
    const strides = stridesOf(x.shape)
    const view: View = { buffer: elementsOf(context, x), offset: start * strides[axis], strides }
    copyView(context, view, whole(elementsOf(context, y), shape), shape)
    return { y, saved: { axis, start, length, shape: x.shape } }
  },

  backward(context, dy, { axis, start, shape }) {
    const dx = context.filled(shape, 0)
    const strides = stridesOf(shape)
    const view: View = { buffer: context.floats(dx), offset: start * strides[axis], strides }
    copyView(context, whole(context.floats(dy), dy.shape), view, dy.shape)
    return [dx]
  },
})

/**
 * The part of x from `start` up to, not including, `end` along `dim`; negative positions count from the
 * end, as in `Array.prototype.slice`. Throws an `argument` error for a range outside of x.
 *
 * @example
 * ```ts
 * import { slice, tensor } from 'lowrank'
 *
 * console.log(slice(tensor([1, 2, 3, 4], [4]), 0, 1, 3).dataSync()) // Float32Array [2, 3]
 * ```
 */
export function slice(x: Tensor, dim: number, start: number, end?: number): Tensor {
  const axis = axisOf('slice', x.shape, dim)
  const size = x.shape[axis]
  const first = start < 0 ? start + size : start
  const last = end === undefined ? size : end < 0 ? end + size : end
  const integers = Number.isInteger(first) && Number.isInteger(last)
  if (!integers || first < 0 || last > size || first > last) {
    throw new LowrankError(
      'argument',
      `slice: expected a range within the ${size} positions of dim ${axis} of ` +
        `${formatShape(x.shape)}, got ${start} to ${end ?? size}`,
    )
  }
  return sliceOp([x], { axis, start: first, length: last - first })
}

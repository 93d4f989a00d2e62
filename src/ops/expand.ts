// expand: y of a larger shape that x broadcasts to, its elements repeated; dx sums over the repeats.

import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op } from '../core/op.ts'
import { formatShape, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { copyView, elementsOf, emptyLike, whole } from './strided.ts'
import { type SumKernels, sumOver, sumReference } from './sum.ts'

/** Strides by which an x of `from` is read under `to`: 0 where it repeats. */
export function expandedStrides(from: Shape, to: Shape): number[] {
  const added = to.length - from.length
  const strides = stridesOf(from)
  return to.map((_, axis) => {
    const own = axis - added
    return own < 0 || from[own] === 1 ? 0 : strides[own]
  })
}

/** The axes of `to` along which an x of `from` repeats. */
export function repeatedAxes(from: Shape, to: Shape): number[] {
  const added = to.length - from.length
  const axes = to.map((_, axis) => axis)
  return axes.filter(axis => axis < added || (from[axis - added] === 1 && to[axis] !== 1))
}

export const expandOp: Op<
  SumKernels,
  readonly [x: Tensor],
  { readonly shape: Shape },
  Tensor,
  { readonly from: Shape; readonly to: Shape }
> = /* @__PURE__ */ defineOp({
  name: 'expand',
  reference: sumReference,

  forward(context, [x], { shape }) {
    const y = emptyLike(context, x, shape)
    const strides = expandedStrides(x.shape, shape)
    const view = { buffer: elementsOf(context, x), offset: 0, strides }
    copyView(context, view, whole(elementsOf(context, y), shape), shape)
    return { y, saved: { from: x.shape, to: shape } }
  },

  backward(context, dy, { from, to }) {
    const axes = repeatedAxes(from, to)
    if (axes.length === 0) {
      return [context.alias(dy, from)]
    }
    const dx = context.empty(from)
    sumOver(context, context.floats(dy), to, axes, context.floats(dx), 1)
    return [dx]
  },
})

/**
 * x repeated to `shape`: axes of size 1 stretch, new ones come first, −1 keeps a size. Throws a `shape`
 * error where an axis would have to shrink or stretch from another size.
 *
 * @example
 * ```ts
 * import { expand, tensor } from 'lowrank'
 *
 * console.log(expand(tensor([1, 2], [2, 1]), [2, 3]).dataSync()) // Float32Array [1, 1, 1, 2, 2, 2]
 * ```
 */
export function expand(x: Tensor, shape: Shape): Tensor {
  const added = shape.length - x.shape.length
  const target = shape.map((size, axis) => (size === -1 ? x.shape[axis - added] : size))
  const fits =
    added >= 0 &&
    target.every(size => Number.isInteger(size) && size >= 0) &&
    x.shape.every((size, axis) => size === 1 || size === target[axis + added])
  if (!fits) {
    throw new LowrankError(
      'shape',
      `expand: ${formatShape(x.shape)} does not broadcast to ${formatShape(shape)}`,
    )
  }
  return expandOp([x], { shape: target })
}

// gather: y[o, k, i] = x[o, index[o, k, i], i], picking along the middle of x [outer, size, inner] with
// an index of y's shape. The gradient goes back where elements came from, summed over repeats:
// dx[o, index[o, k, i], i] += dy[o, k, i].

import { reductions as binary } from '#kernels/reductions'
import type { Floats, Ints } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op } from '../core/op.ts'
import { formatShape, type Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { axisOf, splitAt } from './axes.ts'
import { checkIndices, checkInt32 } from './indices.ts'
import { slice } from './slice.ts'

/** x or y is [outer, size, inner], the other one and index are [outer, count, inner]. */
export type GatherKernel = (
  x: Floats,
  index: Ints,
  y: Floats,
  outer: number,
  size: number,
  count: number,
  inner: number,
) => void

export interface GatherKernels {
  /** y [outer, count, inner] = x [outer, size, inner] at index. */
  readonly gather: GatherKernel
  /** y [outer, size, inner] at index += x [outer, count, inner]. */
  readonly scatter_add: GatherKernel
}

export const gatherReference: GatherKernels = {
  gather(x, index, y, outer, size, count, inner) {
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < count; k++) {
        for (let i = 0; i < inner; i++) {
          const at = (o * count + k) * inner + i
          y[at] = x[(o * size + index[at]) * inner + i]
        }
      }
    }
  },

  scatter_add(x, index, y, outer, size, count, inner) {
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < count; k++) {
        for (let i = 0; i < inner; i++) {
          const at = (o * count + k) * inner + i
          y[(o * size + index[at]) * inner + i] += x[at]
        }
      }
    }
  },
}

export interface GatherSaved {
  readonly index: Tensor
  readonly shape: Shape
  readonly axis: number
}

export const gatherOp: Op<
  GatherKernels,
  readonly [x: Tensor, index: Tensor],
  { readonly axis: number },
  Tensor,
  GatherSaved
> = /* @__PURE__ */ defineOp({
  name: 'gather',
  binary,
  reference: gatherReference,

  forward(context, [x, index], { axis }) {
    const { outer, size, inner } = splitAt(x.shape, axis)
    const y = context.empty(index.shape)
    const count = index.shape[axis]
    const positions = context.ints(index)
    const target = context.floats(y)
    context.kernels.gather(context.floats(x), positions, target, outer, size, count, inner)
    return { y, saved: { index, shape: x.shape, axis } }
  },

  backward(context, dy, { index, shape, axis }) {
    const { outer, size, inner } = splitAt(shape, axis)
    const dx = context.filled(shape, 0)
    const count = index.shape[axis]
    const positions = context.ints(index)
    const target = context.floats(dx)
    context.kernels.scatter_add(context.floats(dy), positions, target, outer, size, count, inner)
    return [dx, undefined]
  },
})

/** x cut to the sizes of an index on all axes, but for `dim` where one is given. */
export function cutTo(where: string, x: Tensor, index: Tensor, dim?: number): Tensor {
  const sizes = index.shape
  const fits =
    x.shape.length === sizes.length &&
    sizes.every((size, axis) => axis === dim || size <= x.shape[axis])
  if (!fits) {
    throw new LowrankError(
      'shape',
      `${where}: expected an index with as many axes, none longer${dim === undefined ? '' : ` but dim ${dim}`}: ` +
        `the elements are ${formatShape(x.shape)}, the index ${formatShape(sizes)}`,
    )
  }
  return sizes.reduce(
    (cut, size, axis) =>
      axis === dim || size === cut.shape[axis] ? cut : slice(cut, axis, 0, size),
    x,
  )
}

/**
 * The elements of x at `index` along `dim`, as in `torch.gather`: the result has the shape of the
 * index, whose other axes are at most as long as those of x. Throws a `shape` error, or an `argument`
 * error for an index out of range.
 *
 * @example
 * ```ts
 * import { gather, tensor } from 'lowrank'
 *
 * const index = tensor([2, 0], [2, 1], { dtype: 'int32' })
 * console.log(gather(tensor([1, 2, 3, 4, 5, 6], [2, 3]), 1, index).dataSync()) // Float32Array [3, 4]
 * ```
 */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  const axis = axisOf('gather', x.shape, dim)
  checkInt32('gather', index)
  const cut = cutTo('gather', x, index, axis)
  checkIndices('gather', index, x.shape[axis])
  return gatherOp([cut, index], { axis })
}

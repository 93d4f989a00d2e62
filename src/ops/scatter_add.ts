// scatterAdd: y = x, and then y[o, index[o, k, i], i] += src[o, k, i] along the middle of
// x [outer, size, inner]. dx = dy, dsrc[o, k, i] = dy[o, index[o, k, i], i].

import { reductions as binary } from '#kernels/reductions'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op } from '../core/op.ts'
import { formatShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { axisOf, splitAt } from './axes.ts'
import { cutTo, type GatherKernels, gatherReference } from './gather.ts'
import { checkIndices, checkInt32 } from './indices.ts'
import { copyView, whole } from './strided.ts'

export interface ScatterAddSaved {
  readonly index: Tensor
  readonly axis: number
}

export const scatterAddOp: Op<
  GatherKernels,
  readonly [x: Tensor, index: Tensor, src: Tensor],
  { readonly axis: number },
  Tensor,
  ScatterAddSaved
> = /* @__PURE__ */ defineOp({
  name: 'scatterAdd',
  binary,
  reference: gatherReference,

  forward(context, [x, index, src], { axis }) {
    const { outer, size, inner } = splitAt(x.shape, axis)
    const y = context.empty(x.shape)
    const target = context.floats(y)
    copyView(context, whole(context.floats(x), x.shape), whole(target, x.shape), x.shape)
    const count = index.shape[axis]
    const positions = context.ints(index)
    context.kernels.scatter_add(context.floats(src), positions, target, outer, size, count, inner)
    return { y, saved: { index, axis } }
  },

  backward(context, dy, { index, axis }) {
    const [needsX, , needsSrc] = context.needs
    const dsrc = needsSrc ? context.empty(index.shape) : undefined
    if (dsrc) {
      const { outer, size, inner } = splitAt(dy.shape, axis)
      const count = index.shape[axis]
      const positions = context.ints(index)
      const target = context.floats(dsrc)
      context.kernels.gather(context.floats(dy), positions, target, outer, size, count, inner)
    }
    return [needsX ? context.alias(dy, dy.shape) : undefined, undefined, dsrc]
  },
})

/**
 * x with `src` added at `index` along `dim`, as in `torch.scatter_add`; the other axes of the index are
 * those of x, and src is at least as long as the index. Repeated indices add up in index order. Throws
 * a `shape` error, or an `argument` error for an index out of range.
 *
 * @example
 * ```ts
 * import { scatterAdd, tensor } from 'lowrank'
 *
 * const index = tensor([0, 0, 2], [3], { dtype: 'int32' })
 * const y = scatterAdd(tensor([0, 0, 0], [3]), 0, index, tensor([1, 2, 3], [3]))
 * console.log(y.dataSync()) // Float32Array [3, 0, 3]
 * ```
 */
export function scatterAdd(x: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  const axis = axisOf('scatterAdd', x.shape, dim)
  checkInt32('scatterAdd', index)
  const fits =
    index.shape.length === x.shape.length &&
    index.shape.every((size, i) => i === axis || size === x.shape[i])
  if (!fits) {
    throw new LowrankError(
      'shape',
      `scatterAdd: expected an index with the sizes of x but for dim ${axis}: ` +
        `x is ${formatShape(x.shape)}, the index ${formatShape(index.shape)} (slice x first)`,
    )
  }
  checkIndices('scatterAdd', index, x.shape[axis])
  return scatterAddOp([x, index, cutTo('scatterAdd', src, index)], { axis })
}

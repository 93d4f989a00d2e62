// indexSelect: y[o, k, :] = x[o, index[k], :] along the middle of x [outer, size, inner]. The gradient
// goes back where slices came from, summed over repeats: dx[o, index[k], :] += dy[o, k, :].

import { indexing as binary } from '#kernels/indexing'
import { dims } from '../core/dims.ts'
import { defineOp, type Op } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { axisOf, splitAt } from './axes.ts'
import type { GatherKernel } from './gather.ts'
import { checkIndices, checkInt32 } from './indices.ts'

export interface IndexSelectKernels {
  /** y [outer, count, inner] = x [outer, size, inner] at index [count]. */
  readonly index_select: GatherKernel
  /** y [outer, size, inner] at index [count] += x [outer, count, inner]. */
  readonly index_add: GatherKernel
}

export const indexSelectReference: IndexSelectKernels = {
  index_select(x, index, y, outer, size, count, inner) {
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < count; k++) {
        for (let i = 0; i < inner; i++) {
          y[(o * count + k) * inner + i] = x[(o * size + index[k]) * inner + i]
        }
      }
    }
  },

  index_add(x, index, y, outer, size, count, inner) {
    for (let o = 0; o < outer; o++) {
      for (let k = 0; k < count; k++) {
        for (let i = 0; i < inner; i++) {
          y[(o * size + index[k]) * inner + i] += x[(o * count + k) * inner + i]
        }
      }
    }
  },
}

export interface IndexSelectSaved {
  readonly index: Tensor
  readonly shape: Shape
  readonly axis: number
}

export const indexSelectOp: Op<
  IndexSelectKernels,
  readonly [x: Tensor, index: Tensor],
  { readonly axis: number },
  Tensor,
  IndexSelectSaved
> = /* @__PURE__ */ defineOp({
  name: 'indexSelect',
  binary,
  reference: indexSelectReference,

  forward(context, [x, index], { axis }) {
    const { outer, size, inner } = splitAt(x.shape, axis)
    const y = context.empty(x.shape.map((length, i) => (i === axis ? index.size : length)))
    const positions = context.ints(index)
    const target = context.floats(y)
    const source = context.floats(x)
    context.kernels.index_select(source, positions, target, outer, size, index.size, inner)
    return { y, saved: { index, shape: x.shape, axis } }
  },

  backward(context, dy, { index, shape, axis }) {
    const { outer, size, inner } = splitAt(shape, axis)
    const dx = context.filled(shape, 0)
    const positions = context.ints(index)
    const target = context.floats(dx)
    const upstream = context.floats(dy)
    context.kernels.index_add(upstream, positions, target, outer, size, index.size, inner)
    return [dx, undefined]
  },
})

/**
 * The slices of x at `index` [count] along `dim`, in that order. Throws a `shape` error, or an
 * `argument` error for an index out of range.
 *
 * @example
 * ```ts
 * import { indexSelect, tensor } from 'lowrank'
 *
 * const rows = tensor([1, 1], [2], { dtype: 'int32' })
 * console.log(indexSelect(tensor([1, 2, 3, 4], [2, 2]), 0, rows).dataSync()) // Float32Array [3, 4, 3, 4]
 * ```
 */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  const axis = axisOf('indexSelect', x.shape, dim)
  checkInt32('indexSelect', index)
  dims('indexSelect: index', index, 'count')
  checkIndices('indexSelect', index, x.shape[axis])
  return indexSelectOp([x, index], { axis })
}

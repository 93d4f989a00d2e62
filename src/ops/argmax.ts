// argmax along rows: the position of the largest element, the first of equals; NaN counts as the
// largest. Not differentiable.

import { reductions as binary } from '#kernels/reductions'
import type { Floats, Ints } from '../core/backend.ts'
import { defineOp, type Op } from '../core/op.ts'
import type { Tensor } from '../core/tensor.ts'
import { axesOf, reducedShape, refuseEmpty } from './axes.ts'
import { readRows, rowsAlong } from './rows.ts'

export interface ArgmaxKernels {
  /** index [rows] = position of the largest element of sign·x [rows, cols]; sign −1: the smallest. */
  readonly argmax: (x: Floats, index: Ints, rows: number, cols: number, sign: number) => void
}

export const argmaxReference: ArgmaxKernels = {
  argmax(x, index, rows, cols, sign) {
    for (let r = 0; r < rows; r++) {
      let best = 0
      for (let c = 1; c < cols; c++) {
        const value = sign * x[r * cols + c]
        const largest = sign * x[r * cols + best]
        if (value > largest || (Number.isNaN(value) && !Number.isNaN(largest))) {
          best = c
        }
      }
      index[r] = best
    }
  },
}

export interface ArgmaxOptions {
  /** The axis to search; all elements in their order if absent. */
  readonly dim?: number
  /** Whether the axis stays, with size 1. */
  readonly keepdim?: boolean
}

export const argmaxOp: Op<ArgmaxKernels, readonly [x: Tensor], ArgmaxOptions, Tensor, object> =
  /* @__PURE__ */ defineOp({
    name: 'argmax',
    reference: argmaxReference,
    binary,

    forward(context, [x], { dim, keepdim }) {
      const axes = axesOf('argmax', x.shape, dim)
      refuseEmpty('argmax', x.shape, axes)
      const layout = rowsAlong(x.shape, axes)
      const y = context.empty(reducedShape(x.shape, axes, keepdim), 'int32')
      const rows = readRows(context, context.floats(x), layout)
      context.kernels.argmax(rows, context.ints(y), layout.rows, layout.cols, 1)
      return { y, saved: {} }
    },
  })

/**
 * Where the largest element is along `dim`, the first of equals: int32. Throws a `shape` error where
 * there are no elements.
 *
 * @example
 * ```ts
 * import { argmax, tensor } from 'lowrank'
 *
 * console.log(argmax(tensor([3, 7, 7, 9, 1, 2], [2, 3]), { dim: -1 }).dataSync()) // Int32Array [1, 0]
 * ```
 */
export function argmax(x: Tensor, options: ArgmaxOptions = {}): Tensor {
  return argmaxOp([x], options)
}

// Product over any axes: y = Π x. dx of an element is dy times the product of all others, taken from what
// stands before and after it, so that zeros do no harm.

import { reductions as binary } from '#kernels/reductions'
import type { Floats } from '../core/backend.ts'
import type { Tensor } from '../core/tensor.ts'
import type { ReductionOptions } from './axes.ts'
import { defineRowReduction, type RowReductionOp } from './row_reduction.ts'

export interface ProdKernels {
  readonly prod: (x: Floats, y: Floats, rows: number, cols: number) => void
  readonly prod_backward: (x: Floats, dy: Floats, dx: Floats, rows: number, cols: number) => void
}

export const prodReference: ProdKernels = {
  prod(x, y, rows, cols) {
    for (let r = 0; r < rows; r++) {
      y[r] = 1
      for (let c = 0; c < cols; c++) {
        y[r] *= x[r * cols + c]
      }
    }
  },

  prod_backward(x, dy, dx, rows, cols) {
    for (let r = 0; r < rows; r++) {
      let before = 1
      for (let c = 0; c < cols; c++) {
        dx[r * cols + c] = before
        before *= x[r * cols + c]
      }
      let after = dy[r]
      for (let c = cols - 1; c >= 0; c--) {
        dx[r * cols + c] *= after
        after *= x[r * cols + c]
      }
    }
  },
}

export const prodOp: RowReductionOp<ProdKernels> = /* @__PURE__ */ defineRowReduction<ProdKernels>({
  name: 'prod',
  reference: prodReference,
  binary,

  forward({ kernels }, x, y, { rows, cols }) {
    kernels.prod(x, y, rows, cols)
  },

  backward({ kernels }, { x, dy, dx }, { rows, cols }) {
    kernels.prod_backward(x, dy, dx, rows, cols)
  },
})

/**
 * The product over `dim` (one axis, a list, or all), of no elements 1.
 *
 * @example
 * ```ts
 * import { prod, tensor } from 'lowrank'
 *
 * console.log(prod(tensor([1, 2, 3, 4], [2, 2]), { dim: 1 }).dataSync()) // Float32Array [2, 12]
 * ```
 */
export function prod(x: Tensor, options: ReductionOptions = {}): Tensor {
  return prodOp([x], options)
}

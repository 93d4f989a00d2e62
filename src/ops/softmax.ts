// softmax along one axis: y = e^(x − m) / Σ e^(x − m), m the largest element of the row;
// dx = y (dy − Σ y·dy). A row of −Infinity alone gives NaN, as in PyTorch.

import { reductions as binary } from '#kernels/reductions'
import type { Floats } from '../core/backend.ts'
import { exp } from '../core/math.ts'
import type { Tensor } from '../core/tensor.ts'
import { rowExpSum, rowMax } from './logsumexp.ts'
import { type AxisOptions, defineRowMap, type RowMapOp } from './row_map.ts'

export interface SoftmaxKernels {
  readonly softmax: (x: Floats, y: Floats, rows: number, cols: number) => void
  readonly softmax_backward: (y: Floats, dy: Floats, dx: Floats, rows: number, cols: number) => void
}

export const softmaxReference: SoftmaxKernels = {
  softmax(x, y, rows, cols) {
    for (let r = 0; r < rows; r++) {
      const largest = rowMax(x, r * cols, cols)
      const sum = rowExpSum(x, r * cols, cols, largest)
      for (let c = 0; c < cols; c++) {
        y[r * cols + c] = exp(x[r * cols + c] - largest) / sum
      }
    }
  },

  softmax_backward(y, dy, dx, rows, cols) {
    for (let r = 0; r < rows; r++) {
      let dot = 0
      for (let c = 0; c < cols; c++) {
        dot += y[r * cols + c] * dy[r * cols + c]
      }
      for (let c = 0; c < cols; c++) {
        dx[r * cols + c] = y[r * cols + c] * (dy[r * cols + c] - dot)
      }
    }
  },
}

export const softmaxOp: RowMapOp<SoftmaxKernels> = /* @__PURE__ */ defineRowMap<SoftmaxKernels>({
  name: 'softmax',
  reference: softmaxReference,
  binary,

  forward({ kernels }, x, y, { rows, cols }) {
    kernels.softmax(x, y, rows, cols)
  },

  backward({ kernels }, y, dy, dx, { rows, cols }) {
    kernels.softmax_backward(y, dy, dx, rows, cols)
  },
})

/**
 * The softmax along `dim`, the last axis if absent. Elements of −Infinity give 0, a row of them NaN.
 *
 * @example
 * ```ts
 * import { softmax, tensor } from 'lowrank'
 *
 * console.log(softmax(tensor([7, 7], [2])).dataSync()) // Float32Array [0.5, 0.5]
 * ```
 */
export function softmax(x: Tensor, options: AxisOptions = {}): Tensor {
  return softmaxOp([x], options)
}

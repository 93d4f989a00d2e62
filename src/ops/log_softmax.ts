// Log of the softmax along one axis: y = (x − m) − log Σ e^(x − m), m the largest element of the row;
// dx = dy − e^y Σ dy. A row of −Infinity alone gives NaN, as in PyTorch.

import { reductions as binary } from '#kernels/reductions'
import type { Floats } from '../core/backend.ts'
import { exp, log } from '../core/math.ts'
import type { Tensor } from '../core/tensor.ts'
import { rowExpSum, rowMax } from './logsumexp.ts'
import { type AxisOptions, defineRowMap, type RowMapOp } from './row_map.ts'

export interface LogSoftmaxKernels {
  readonly log_softmax: (x: Floats, y: Floats, rows: number, cols: number) => void
  readonly log_softmax_backward: (
    y: Floats,
    dy: Floats,
    dx: Floats,
    rows: number,
    cols: number,
  ) => void
}

export const logSoftmaxReference: LogSoftmaxKernels = {
  log_softmax(x, y, rows, cols) {
    for (let r = 0; r < rows; r++) {
      const largest = rowMax(x, r * cols, cols)
      const sum = rowExpSum(x, r * cols, cols, largest)
      for (let c = 0; c < cols; c++) {
        y[r * cols + c] = x[r * cols + c] - largest - log(sum)
      }
    }
  },

  log_softmax_backward(y, dy, dx, rows, cols) {
    for (let r = 0; r < rows; r++) {
      let sum = 0
      for (let c = 0; c < cols; c++) {
        sum += dy[r * cols + c]
      }
      for (let c = 0; c < cols; c++) {
        dx[r * cols + c] = dy[r * cols + c] - exp(y[r * cols + c]) * sum
      }
    }
  },
}

export const logSoftmaxOp: RowMapOp<LogSoftmaxKernels> =
  /* @__PURE__ */ defineRowMap<LogSoftmaxKernels>({
    name: 'logSoftmax',
    reference: logSoftmaxReference,
    binary,

    forward({ kernels }, x, y, { rows, cols }) {
      kernels.log_softmax(x, y, rows, cols)
    },

    backward({ kernels }, y, dy, dx, { rows, cols }) {
      kernels.log_softmax_backward(y, dy, dx, rows, cols)
    },
  })

/**
 * The logarithm of the softmax along `dim`, the last axis if absent.
 *
 * @example
 * ```ts
 * import { logSoftmax, tensor } from 'lowrank'
 *
 * console.log(logSoftmax(tensor([0, 0], [2])).dataSync()[0]) // -0.6931471824645996
 * ```
 */
export function logSoftmax(x: Tensor, options: AxisOptions = {}): Tensor {
  return logSoftmaxOp([x], options)
}

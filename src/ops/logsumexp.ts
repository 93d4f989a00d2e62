// logsumexp over any axes: y = m + log Σ e^(x − m), m the largest element, 0 where it is −Infinity, so that
// −Infinity alone gives −Infinity; dx = dy·e^(x − m) / Σ e^(x − m), and 0 where that sum is 0.

import { reductions as binary } from '#kernels/reductions'
import type { Floats } from '../core/backend.ts'
import { exp, log } from '../core/math.ts'
import type { Tensor } from '../core/tensor.ts'
import type { ReductionOptions } from './axes.ts'
import { defineRowReduction, type RowReductionOp } from './row_reduction.ts'

export interface LogsumexpKernels {
  readonly logsumexp: (x: Floats, y: Floats, rows: number, cols: number) => void
  readonly logsumexp_backward: (
    x: Floats,
    dy: Floats,
    dx: Floats,
    rows: number,
    cols: number,
  ) => void
}

/** The largest element of a row. */
export function rowMax(x: Floats, start: number, cols: number): number {
  let largest = Number.NEGATIVE_INFINITY
  for (let c = 0; c < cols; c++) {
    largest = Math.max(largest, x[start + c])
  }
  return largest
}

/** Σ e^(x − shift) of a row. */
export function rowExpSum(x: Floats, start: number, cols: number, shift: number): number {
  let sum = 0
  for (let c = 0; c < cols; c++) {
    sum += exp(x[start + c] - shift)
  }
  return sum
}

/** What is taken off the elements of a row before they are exponents. */
function shiftOf(largest: number): number {
  return largest === Number.NEGATIVE_INFINITY ? 0 : largest
}

export const logsumexpReference: LogsumexpKernels = {
  logsumexp(x, y, rows, cols) {
    for (let r = 0; r < rows; r++) {
      const largest = rowMax(x, r * cols, cols)
      const shift = shiftOf(largest)
      const value = shift + log(rowExpSum(x, r * cols, cols, shift))
      y[r] = largest === Number.POSITIVE_INFINITY ? largest : value
    }
  },

  logsumexp_backward(x, dy, dx, rows, cols) {
    for (let r = 0; r < rows; r++) {
      const shift = shiftOf(rowMax(x, r * cols, cols))
      const sum = rowExpSum(x, r * cols, cols, shift)
      const factor = sum === 0 ? 0 : dy[r] / sum
      for (let c = 0; c < cols; c++) {
        dx[r * cols + c] = exp(x[r * cols + c] - shift) * factor
      }
    }
  },
}

export const logsumexpOp: RowReductionOp<LogsumexpKernels> =
  /* @__PURE__ */ defineRowReduction<LogsumexpKernels>({
    name: 'logsumexp',
    reference: logsumexpReference,
    binary,

    forward({ kernels }, x, y, { rows, cols }) {
      kernels.logsumexp(x, y, rows, cols)
    },

    backward({ kernels }, { x, dy, dx }, { rows, cols }) {
      kernels.logsumexp_backward(x, dy, dx, rows, cols)
    },
  })

/**
 * log Σ eˣ over `dim` (one axis, a list, or all), without overflow.
 *
 * @example
 * ```ts
 * import { logsumexp, tensor } from 'lowrank'
 *
 * console.log(logsumexp(tensor([1000, 1000], [2])).itemSync()) // 1000.6931762695312
 * ```
 */
export function logsumexp(x: Tensor, options: ReductionOptions = {}): Tensor {
  return logsumexpOp([x], options)
}

// Sums of squares of rows, the mechanism of var, std and norm. With m the mean of the row if `centered`,
// else 0, and v = Σ (x − m)² / divisor:
//
//   y = v           dx = dy·2 (x − m) / divisor
//   y = √v (root)   dx = dy·(x − m) / (y·divisor), and 0 where y is 0, as in PyTorch

import { reductions as binary } from '#kernels/reductions'
import type { Floats } from '../core/backend.ts'
import type { ReductionOptions } from './axes.ts'
import { defineRowReduction, type RowReductionOp } from './row_reduction.ts'

export interface SumSquaresKernels {
  readonly sum_squares: (
    x: Floats,
    y: Floats,
    rows: number,
    cols: number,
    divisor: number,
    centered: number,
    root: number,
  ) => void
  readonly sum_squares_backward: (
    x: Floats,
    y: Floats,
    dy: Floats,
    dx: Floats,
    rows: number,
    cols: number,
    divisor: number,
    centered: number,
    root: number,
  ) => void
}

function rowMean(x: Floats, start: number, cols: number): number {
  let sum = 0
  for (let c = 0; c < cols; c++) {
    sum += x[start + c]
  }
  return sum / cols
}

export const sumSquaresReference: SumSquaresKernels = {
  sum_squares(x, y, rows, cols, divisor, centered, root) {
    for (let r = 0; r < rows; r++) {
      const center = centered ? rowMean(x, r * cols, cols) : 0
      let sum = 0
      for (let c = 0; c < cols; c++) {
        const d = x[r * cols + c] - center
        sum += d * d
      }
      y[r] = root ? Math.sqrt(sum / divisor) : sum / divisor
    }
  },

  sum_squares_backward(x, y, dy, dx, rows, cols, divisor, centered, root) {
    for (let r = 0; r < rows; r++) {
      const center = centered ? rowMean(x, r * cols, cols) : 0
      const norm = root ? y[r] : 0.5
      const factor = norm === 0 ? 0 : dy[r] / (norm * divisor)
      for (let c = 0; c < cols; c++) {
        dx[r * cols + c] = (x[r * cols + c] - center) * factor
      }
    }
  },
}

export interface SquaresOptions extends ReductionOptions {
  /** What is taken off the number of elements in the divisor: 1 if absent. */
  readonly correction?: number
}

export type SquaresOp = RowReductionOp<SumSquaresKernels, SquaresOptions>

/** `variance` centers rows and divides by their length less the correction. */
export function defineSquares(
  name: string,
  { variance, root }: { readonly variance: boolean; readonly root: boolean },
): SquaresOp {
  const divisorOf = (cols: number, { correction = 1 }: SquaresOptions): number =>
    variance ? Math.max(0, cols - correction) : 1
  const flags = [variance ? 1 : 0, root ? 1 : 0] as const
  return defineRowReduction<SumSquaresKernels, SquaresOptions>({
    name,
    reference: sumSquaresReference,
    binary,

    forward({ kernels }, x, y, { rows, cols }, options) {
      kernels.sum_squares(x, y, rows, cols, divisorOf(cols, options), ...flags)
    },

    backward({ kernels }, { x, y, dy, dx }, { rows, cols }, options) {
      const divisor = divisorOf(cols, options)
      kernels.sum_squares_backward(x, y, dy, dx, rows, cols, divisor, ...flags)
    },
  })
}

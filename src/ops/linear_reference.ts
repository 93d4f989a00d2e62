// What a linear layer needs beside products: its bias in every row of y, and the sum of rows that is the
// gradient of the bias. In a file of its own for the ops that share it.

import type { Floats } from '../core/backend.ts'

/** What a linear layer needs beside products. */
export interface LinearKernels {
  /** y [rows, cols] = x [cols] in every row. */
  readonly fill_rows: (x: Floats, y: Floats, rows: number, cols: number) => void
  /** y [cols] = Σ over the rows of x [rows, cols]. */
  readonly sum_rows: (x: Floats, y: Floats, rows: number, cols: number) => void
}

export const linearReference: LinearKernels = {
  fill_rows(x, y, rows, cols) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        y[r * cols + c] = x[c]
      }
    }
  },

  sum_rows(x, y, rows, cols) {
    for (let c = 0; c < cols; c++) {
      let sum = 0
      for (let r = 0; r < rows; r++) {
        sum += x[r * cols + c]
      }
      y[c] = sum
    }
  },
}

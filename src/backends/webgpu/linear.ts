// What a linear layer needs beside products: rows filled with a bias, and sums over rows.

import type { KernelSources } from './machine.ts'
import { EXACT_SUM } from './reduction.ts'

export const linearKernels: KernelSources = {
  fill_rows: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32',
    threads: ({ rows, cols }) => rows * cols,
    code: 'y[thread] = x[thread % p.cols];',
  },

  sum_rows: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32',
    threads: ({ cols }) => cols,
    uses: EXACT_SUM,
    code: /* wgsl */ `
  var sum = vec2f();
  for (var row = 0u; row < p.rows; row++) { sum = plus(sum, x[row * p.cols + thread]); }
  y[thread] = total_of(sum);`,
  },
}

// What a linear layer needs beside products: rows filled with a bias, and sums over rows.

import type { KernelSources } from './machine.ts'

export const linearKernels: KernelSources = {
  fill_rows: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32',
    threads: ({ rows, cols }) => rows * cols,
    code: 'y[thread] = x[thread % p.cols];',
  },

  sum_rows: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32',
    threads: ({ cols }) => cols,
    code: /* wgsl */ `
  var sums = vec4f();
  for (var row = 0u; row < p.rows; row++) { sums[row & 3u] += x[row * p.cols + thread]; }
  y[thread] = (sums.x + sums.y) + (sums.z + sums.w);`,
  },
}

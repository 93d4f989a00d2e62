// Running sums of rows, from either end: one thread a row.

import type { KernelSources } from './machine.ts'

export const cumsumKernels: KernelSources = {
  cumsum: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32 reverse:u32',
    threads: ({ rows }) => rows,
    code: /* wgsl */ `
  var sum = 0.0;
  for (var c = 0u; c < p.cols; c++) {
    let at = thread * p.cols + select(c, p.cols - 1u - c, p.reverse == 1u);
    sum += x[at];
    y[at] = sum;
  }`,
  },
}

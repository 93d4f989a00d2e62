// Products of rows; the gradient of an element is dy times what stands before and after it.

import type { KernelSources } from './machine.ts'

export const prodKernels: KernelSources = {
  prod: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32',
    threads: ({ rows }) => rows,
    code: /* wgsl */ `
  var product = 1.0;
  for (var c = 0u; c < p.cols; c++) { product *= x[thread * p.cols + c]; }
  y[thread] = product;`,
  },

  prod_backward: {
    parameters: 'x:[f32] dy:[f32] dx:[f32]! rows:u32 cols:u32',
    threads: ({ rows }) => rows,
    code: /* wgsl */ `
  var before = 1.0;
  for (var c = 0u; c < p.cols; c++) {
    dx[thread * p.cols + c] = before;
    before *= x[thread * p.cols + c];
  }
  var after = dy[thread];
  for (var c = p.cols; c > 0u; c--) {
    let at = thread * p.cols + c - 1u;
    dx[at] *= after;
    after *= x[at];
  }`,
  },
}

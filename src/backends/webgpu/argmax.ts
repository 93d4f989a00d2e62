// Where the largest element of a row is, the first of equals; NaN counts as the largest. One thread a
// row: it is for the few places that a program looks at.

import type { KernelSources } from './machine.ts'
import { BIT_TESTS } from './math.ts'

export const argmaxKernels: KernelSources = {
  argmax: {
    parameters: 'x:[f32] index:[i32]! rows:u32 cols:u32 sign:f32',
    threads: ({ rows }) => rows,
    uses: BIT_TESTS,
    code: /* wgsl */ `
  var best = 0u;
  for (var c = 1u; c < p.cols; c++) {
    let value = p.sign * x[thread * p.cols + c];
    let largest = p.sign * x[thread * p.cols + best];
    if (value > largest || (is_nan(value) && !is_nan(largest))) { best = c; }
  }
  index[thread] = i32(best);`,
  },
}

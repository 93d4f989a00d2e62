// gather and scatter_add along the middle of [outer, size, inner]. Adding goes in the order of the index,
// one thread for all that may meet in one place.

import type { KernelSources } from './machine.ts'

export const gatherKernels: KernelSources = {
  gather: {
    parameters: 'x:[u32] index:[i32] y:[u32]! outer:u32 size:u32 count:u32 inner:u32',
    threads: ({ outer, count, inner }) => outer * count * inner,
    code: /* wgsl */ `
  let i = thread % p.inner;
  let o = thread / p.inner / p.count;
  y[thread] = x[(o * p.size + u32(index[thread])) * p.inner + i];`,
  },

  scatter_add: {
    parameters: 'x:[f32] index:[i32] y:[f32]! outer:u32 size:u32 count:u32 inner:u32',
    threads: ({ outer, inner }) => outer * inner,
    code: /* wgsl */ `
  let i = thread % p.inner;
  let o = thread / p.inner;
  for (var k = 0u; k < p.count; k++) {
    let at = (o * p.count + k) * p.inner + i;
    y[(o * p.size + u32(index[at])) * p.inner + i] += x[at];
  }`,
  },
}

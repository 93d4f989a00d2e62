// Slices along the middle of [outer, size, inner] by an index [count], and their gradients back.

import type { KernelSources } from './machine.ts'

export const indexSelectKernels: KernelSources = {
  index_select: {
    parameters: 'x:[u32] index:[i32] y:[u32]! outer:u32 size:u32 count:u32 inner:u32',
    threads: ({ outer, count, inner }) => outer * count * inner,
    code: /* wgsl */ `
  let i = thread % p.inner;
  let k = thread / p.inner % p.count;
  let o = thread / p.inner / p.count;
  y[thread] = x[(o * p.size + u32(index[k])) * p.inner + i];`,
  },

  index_add: {
    parameters: 'x:[f32] index:[i32] y:[f32]! outer:u32 size:u32 count:u32 inner:u32',
    threads: ({ outer, inner }) => outer * inner,
    code: /* wgsl */ `
  let i = thread % p.inner;
  let o = thread / p.inner;
  for (var k = 0u; k < p.count; k++) {
    y[(o * p.size + u32(index[k])) * p.inner + i] += x[(o * p.count + k) * p.inner + i];
  }`,
  },
}

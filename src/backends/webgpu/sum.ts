// Sums along the middle axis of x [outer, count, inner], divided by a number: one workgroup for a sum
// over neighbours, else one thread a sum, so that the lanes of a group read neighbours.

import type { KernelSources } from './machine.ts'
import type { Program } from './program.ts'
import { GROUP_SUM } from './reduction.ts'

const alongRows: Program = {
  parameters: 'x:[f32] y:[f32]! outer:u32 count:u32 inner:- divisor:f32',
  groups: ({ outer }) => outer,
  uses: GROUP_SUM,
  code: /* wgsl */ `
  var part = 0.0;
  for (var k = lane; k < p.count; k += SIZE) { part += x[group * p.count + k]; }
  let sum = group_sum(lane, part);
  if (lane == 0u) { y[group] = sum / p.divisor; }`,
}

// Four partial sums: the error grows with a quarter of the count.
const acrossRows: Program = {
  parameters: 'x:[f32] y:[f32]! outer:u32 count:u32 inner:u32 divisor:f32',
  threads: ({ outer, inner }) => outer * inner,
  code: /* wgsl */ `
  var at = (thread / p.inner) * p.count * p.inner + thread % p.inner;
  var sums = vec4f();
  for (var k = 0u; k < p.count; k++) {
    sums[k & 3u] += x[at];
    at += p.inner;
  }
  y[thread] = ((sums.x + sums.y) + (sums.z + sums.w)) / p.divisor;`,
}

export const sumKernels: KernelSources = {
  sum: machine => {
    const [rows, columns] = [machine.program(alongRows), machine.program(acrossRows)]
    return (x, y, outer, count, inner, divisor) => {
      const kernel = inner === 1 && (count as number) > 8 ? rows : columns
      kernel(x, y, outer, count, inner, divisor)
    }
  },
}

// Sums along the middle axis of x [outer, count, inner], divided by a number: one workgroup for a sum
// over neighbours, else one thread a sum, so that the lanes of a group read neighbours. Rounding errors are
// kept and added at the end: four million elements lose no digit.

import type { KernelSources } from './machine.ts'
import type { Program } from './program.ts'
import { EXACT_SUM } from './reduction.ts'

const alongRows: Program = {
  parameters: 'x:[f32] y:[f32]! outer:u32 count:u32 inner:- divisor:f32',
  groups: ({ outer }) => outer,
  uses: EXACT_SUM,
  code: /* wgsl */ `
  var part = vec2f();
  for (var k = lane; k < p.count; k += SIZE) { part = plus(part, x[group * p.count + k]); }
  let sum = exact_sum(lane, part);
  if (lane == 0u) { y[group] = sum / p.divisor; }`,
}

const acrossRows: Program = {
  parameters: 'x:[f32] y:[f32]! outer:u32 count:u32 inner:u32 divisor:f32',
  threads: ({ outer, inner }) => outer * inner,
  uses: EXACT_SUM,
  code: /* wgsl */ `
  var at = (thread / p.inner) * p.count * p.inner + thread % p.inner;
  var sum = vec2f();
  for (var k = 0u; k < p.count; k++) {
    sum = plus(sum, x[at]);
    at += p.inner;
  }
  y[thread] = total_of(sum) / p.divisor;`,
}

/** Rows longer than this are cut into parts, so that many workgroups share one sum. */
const LONGEST = 16384

export const sumKernels: KernelSources = {
  sum: machine => {
    const [rows, columns] = [machine.program(alongRows), machine.program(acrossRows)]
    return (x, y, outer, count, inner, divisor) => {
      const n = count as number
      if (outer === 1 && inner === 1 && n > LONGEST && n % 1024 === 0) {
        machine.withRoom(n / 1024, parts => {
          rows(x, parts, n / 1024, 1024, 1, 1)
          rows(parts, y, 1, n / 1024, 1, divisor)
        })
        return
      }
      const kernel = inner === 1 && n > 8 ? rows : columns
      kernel(x, y, outer, count, inner, divisor)
    }
  },
}

// Sums of squares of rows, centered or not, and their square roots: formulas in src/ops/sum_squares.ts.

import type { KernelSources } from './machine.ts'
import { eachColumn, GROUP_SUM } from './reduction.ts'

const CENTER = /* wgsl */ `
  var sum = 0.0;
  ${eachColumn('sum += x[at];')}
  let center = group_sum(lane, sum) / f32(max(p.cols, 1u)) * f32(p.centered);`

export const sumSquaresKernels: KernelSources = {
  sum_squares: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32 divisor:f32 centered:u32 root:u32',
    groups: ({ rows }) => rows,
    uses: GROUP_SUM,
    code: /* wgsl */ `
  ${CENTER}
  var part = 0.0;
  ${eachColumn('let d = x[at] - center; part += d * d;')}
  let value = group_sum(lane, part) / p.divisor;
  if (lane == 0u) { y[group] = select(value, sqrt(value), p.root == 1u); }`,
  },

  sum_squares_backward: {
    parameters:
      'x:[f32] y:[f32] dy:[f32] dx:[f32]! rows:u32 cols:u32 divisor:f32 centered:u32 root:u32',
    groups: ({ rows }) => rows,
    uses: GROUP_SUM,
    code: /* wgsl */ `
  ${CENTER}
  let norm = select(0.5, y[group], p.root == 1u);
  let factor = select(dy[group] / (norm * p.divisor), 0.0, norm == 0.0);
  ${eachColumn('dx[at] = (x[at] - center) * factor;')}`,
  },
}

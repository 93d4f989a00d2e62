// Root mean square normalisation of rows, one workgroup a row: formulas in src/ops/rms_norm.ts.

import type { KernelSources } from './machine.ts'
import { EXACT_SUM, eachColumn, GROUP_SUM } from './reduction.ts'

const FACTOR = /* wgsl */ `
fn factor(c: u32) -> f32 {
  if (p.hasWeight == 0u) { return 1.0; }
  return p.offset + weight[c];
}`

export const rmsNormKernels: KernelSources = {
  rms_norm: {
    parameters:
      'x:[f32] weight:[f32] hasWeight:u32 y:[f32]! rstd:[f32]! rows:u32 cols:u32 eps:f32 offset:f32',
    groups: ({ rows }) => rows,
    uses: [...GROUP_SUM, FACTOR],
    code: /* wgsl */ `
  var part = 0.0;
  ${eachColumn('part += x[at] * x[at];')}
  let r = 1.0 / sqrt(group_sum(lane, part) / f32(p.cols) + p.eps);
  if (lane == 0u) { rstd[group] = r; }
  ${eachColumn('y[at] = x[at] * r * factor(c);')}`,
  },

  rms_norm_dx: {
    parameters:
      'dy:[f32] x:[f32] weight:[f32] hasWeight:u32 rstd:[f32] dx:[f32]! rows:u32 cols:u32 offset:f32',
    groups: ({ rows }) => rows,
    uses: [...GROUP_SUM, FACTOR],
    code: /* wgsl */ `
  var part = 0.0;
  ${eachColumn('part += dy[at] * factor(c) * x[at];')}
  let r = rstd[group];
  let slope = r * r * group_sum(lane, part) / f32(p.cols);
  ${eachColumn('dx[at] = r * (dy[at] * factor(c) - x[at] * slope);')}`,
  },

  rms_norm_dweight: {
    parameters: 'dy:[f32] x:[f32] rstd:[f32] dweight:[f32]! rows:u32 cols:u32 scratch:-',
    threads: ({ cols }) => cols,
    uses: EXACT_SUM,
    code: /* wgsl */ `
  var sum = vec2f();
  for (var row = 0u; row < p.rows; row++) {
    let at = row * p.cols + thread;
    sum = plus(sum, dy[at] * x[at] * rstd[row]);
  }
  dweight[thread] = total_of(sum);`,
  },
}

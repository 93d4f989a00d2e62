// Root mean square normalisation of rows, one workgroup a row: formulas in src/ops/rms_norm.ts. Squares
// are of rows scaled by a power of two (see sum_squares.ts), and nothing is multiplied that is not near 1.

import type { KernelSources } from './machine.ts'
import { EXACT_SUM, eachColumn, GROUP_MAX, GROUP_SUM, ROW_MOST, SCALE } from './reduction.ts'

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
    uses: [...GROUP_MAX, ...GROUP_SUM, SCALE, FACTOR],
    code: /* wgsl */ `
  ${ROW_MOST}
  let shrink = inverse_of(scale_of(max(most, sqrt(p.eps))));
  var part = 0.0;
  ${eachColumn('let v = x[at] * shrink; part += v * v;')}
  let e = sqrt(p.eps) * shrink;
  let r = shrink / sqrt(group_sum(lane, part) / f32(p.cols) + e * e);
  if (lane == 0u) { rstd[group] = r; }
  ${eachColumn('y[at] = x[at] * r * factor(c);')}`,
  },

  rms_norm_dx: {
    parameters:
      'dy:[f32] x:[f32] weight:[f32] hasWeight:u32 rstd:[f32] dx:[f32]! rows:u32 cols:u32 offset:f32',
    groups: ({ rows }) => rows,
    uses: [...GROUP_SUM, FACTOR],
    code: /* wgsl */ `
  let r = rstd[group];
  var part = 0.0;
  ${eachColumn('part += dy[at] * factor(c) * (x[at] * r);')}
  let slope = group_sum(lane, part) / f32(p.cols);
  ${eachColumn('dx[at] = r * (dy[at] * factor(c) - x[at] * r * slope);')}`,
  },

  rms_norm_dweight: {
    parameters: 'dy:[f32] x:[f32] rstd:[f32] dweight:[f32]! rows:u32 cols:u32 scratch:-',
    threads: ({ cols }) => cols,
    uses: EXACT_SUM,
    code: /* wgsl */ `
  var sum = vec2f();
  for (var row = 0u; row < p.rows; row++) {
    let at = row * p.cols + thread;
    sum = plus(sum, dy[at] * (x[at] * rstd[row]));
  }
  dweight[thread] = total_of(sum);`,
  },
}

// Layer normalisation of rows, one workgroup a row: formulas in src/ops/layer_norm.ts. Sums are of rows
// scaled by a power of two (see sum_squares.ts), and nothing is multiplied that is not near 1. The mean is
// corrected by that of the differences from it (Chan, Golub and LeVeque, 1983), so that equal elements
// have none.

import type { KernelSources } from './machine.ts'
import { EXACT_SUM, eachColumn, GROUP_MAX, GROUP_SUM, ROW_MOST, SCALE } from './reduction.ts'

export const layerNormKernels: KernelSources = {
  layer_norm: {
    parameters:
      'x:[f32] weight:[f32] hasWeight:u32 bias:[f32] hasBias:u32 y:[f32]! mean:[f32]! rstd:[f32]! ' +
      'rows:u32 cols:u32 eps:f32',
    groups: ({ rows }) => rows,
    uses: [...GROUP_MAX, ...GROUP_SUM, SCALE],
    code: /* wgsl */ `
  ${ROW_MOST}
  let scale = scale_of(max(most, sqrt(p.eps)));
  let shrink = inverse_of(scale);
  var sum = 0.0;
  ${eachColumn('sum += x[at] * shrink;')}
  let center = group_sum(lane, sum) / f32(p.cols);
  var drift = 0.0;
  var squares = 0.0;
  ${eachColumn('let d = x[at] * shrink - center; drift += d; squares += d * d;')}
  let shift = group_sum(lane, drift) / f32(p.cols);
  let mean_square = group_sum(lane, squares) / f32(p.cols);
  let m = (center + shift) * scale;
  let e = sqrt(p.eps) * shrink;
  let spread = mean_square - shift * shift;
  let scaled = shrink / sqrt(select(spread, 0.0, spread < 0.0) + e * e);
  // Where large elements are all equal, only the bound is left of eps; NaN stays.
  let bound = 1.0 / sqrt(p.eps);
  let r = select(scaled, bound, scaled > bound);
  if (lane == 0u) { mean[group] = m; rstd[group] = r; }
  ${eachColumn(`
    var value = (x[at] - m) * r;
    if (p.hasWeight == 1u) { value *= weight[c]; }
    if (p.hasBias == 1u) { value += bias[c]; }
    y[at] = value;`)}`,
  },

  layer_norm_dx: {
    parameters:
      'dy:[f32] x:[f32] weight:[f32] hasWeight:u32 mean:[f32] rstd:[f32] dx:[f32]! rows:u32 cols:u32',
    groups: ({ rows }) => rows,
    uses: [
      ...GROUP_SUM,
      /* wgsl */ `
fn upstream(at: u32, c: u32) -> f32 {
  if (p.hasWeight == 0u) { return dy[at]; }
  return dy[at] * weight[c];
}`,
    ],
    code: /* wgsl */ `
  let m = mean[group];
  let r = rstd[group];
  var sum = 0.0;
  var along = 0.0;
  ${eachColumn('let g = upstream(at, c); sum += g; along += g * ((x[at] - m) * r);')}
  let average = group_sum(lane, sum) / f32(p.cols);
  let slope = group_sum(lane, along) / f32(p.cols);
  ${eachColumn('dx[at] = r * (upstream(at, c) - average - (x[at] - m) * r * slope);')}`,
  },

  layer_norm_dweight: {
    parameters: 'dy:[f32] x:[f32] mean:[f32] rstd:[f32] dweight:[f32]! rows:u32 cols:u32 scratch:-',
    threads: ({ cols }) => cols,
    uses: EXACT_SUM,
    code: /* wgsl */ `
  var sum = vec2f();
  for (var row = 0u; row < p.rows; row++) {
    let at = row * p.cols + thread;
    sum = plus(sum, dy[at] * ((x[at] - mean[row]) * rstd[row]));
  }
  dweight[thread] = total_of(sum);`,
  },
}

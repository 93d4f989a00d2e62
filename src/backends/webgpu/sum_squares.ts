// Sums of squares of rows, centered or not, and their square roots: formulas in src/ops/sum_squares.ts. Rows
// are scaled by a power of two near their largest element, as LAPACK's dnrm2 does: WASM adds up in
// float64, where squares of float32 numbers neither overflow nor vanish. The mean is corrected by that of
// the differences from it (Chan, Golub and LeVeque, 1983).

import type { KernelSources } from './machine.ts'
import { eachColumn, GROUP_MAX, GROUP_SUM, ROW_MOST, SCALE } from './reduction.ts'

const USES: readonly string[] = [...GROUP_MAX, ...GROUP_SUM, SCALE]

/** `scale`, `shrink` = 1 / scale, and `center`, the scaled mean or 0. */
const CENTER = /* wgsl */ `
  ${ROW_MOST}
  let scale = scale_of(most);
  let shrink = inverse_of(scale);
  var sum = 0.0;
  if (p.centered == 1u) { ${eachColumn('sum += x[at] * shrink;')} }
  let first_center = group_sum(lane, sum) / f32(max(p.cols, 1u));
  var drift = 0.0;
  if (p.centered == 1u) { ${eachColumn('drift += x[at] * shrink - first_center;')} }
  let center = first_center + group_sum(lane, drift) / f32(max(p.cols, 1u));`

export const sumSquaresKernels: KernelSources = {
  sum_squares: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32 divisor:f32 centered:u32 root:u32',
    groups: ({ rows }) => rows,
    uses: USES,
    code: /* wgsl */ `
  ${CENTER}
  var part = 0.0;
  ${eachColumn('let d = x[at] * shrink - center; part += d * d;')}
  let value = group_sum(lane, part) / p.divisor;
  if (lane == 0u) { y[group] = scale * select(scale * value, sqrt(value), p.root == 1u); }`,
  },

  sum_squares_backward: {
    parameters:
      'x:[f32] y:[f32] dy:[f32] dx:[f32]! rows:u32 cols:u32 divisor:f32 centered:u32 root:u32',
    groups: ({ rows }) => rows,
    uses: USES,
    code: /* wgsl */ `
  ${CENTER}
  let rooted = p.root == 1u;
  let norm = select(0.5, y[group] * shrink, rooted);
  let factor = select(dy[group] / (norm * p.divisor), 0.0, norm == 0.0);
  // Elements far below the largest must not vanish before a large dy has lifted them.
  let joined = !rooted || (scale >= 1.0 && abs(factor) >= 1.0);
  let first = select(shrink, factor * select(1.0, shrink, rooted), joined);
  let second = select(factor, 1.0, joined);
  let mean = center * scale;
  ${eachColumn('dx[at] = (x[at] - mean) * first * second;')}`,
  },
}

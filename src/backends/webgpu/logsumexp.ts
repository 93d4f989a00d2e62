// log Σ e^x of rows: y = m + log Σ e^(x − m), m the largest element, 0 where it is −Infinity;
// dx = dy·e^(x − m) / Σ e^(x − m), 0 where that sum is 0.

import type { KernelSources } from './machine.ts'
import { LOG } from './math.ts'
import { eachColumn } from './reduction.ts'
import { ROW_USES } from './softmax.ts'

const SHIFTED = /* wgsl */ `
  var highest = -infinity();
  ${eachColumn('highest = max(highest, x[at]);')}
  let largest = group_max(lane, highest);
  let shift = select(largest, 0.0, largest < -3.4028234e38);
  var part = 0.0;
  ${eachColumn('part += exponential(x[at] - shift);')}
  let total = group_sum(lane, part);`

export const logsumexpKernels: KernelSources = {
  logsumexp: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32',
    groups: ({ rows }) => rows,
    uses: [...ROW_USES, ...LOG],
    code: /* wgsl */ `
  ${SHIFTED}
  if (lane == 0u) {
    y[group] = select(shift + logarithm(total), largest, largest > 3.4028234e38);
  }`,
  },

  logsumexp_backward: {
    parameters: 'x:[f32] dy:[f32] dx:[f32]! rows:u32 cols:u32',
    groups: ({ rows }) => rows,
    uses: ROW_USES,
    code: /* wgsl */ `
  ${SHIFTED}
  let factor = select(dy[group] / total, 0.0, total == 0.0);
  ${eachColumn('dx[at] = exponential(x[at] - shift) * factor;')}`,
  },
}

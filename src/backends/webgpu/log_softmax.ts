// The logarithm of the softmax of rows: y = (x − m) − log Σ e^(x − m); dx = dy − e^y Σ dy.

import type { KernelSources } from './machine.ts'
import { EXP, LOG } from './math.ts'
import { eachColumn, GROUP_SUM } from './reduction.ts'
import { ROW_NORMALIZER, ROW_USES } from './softmax.ts'

export const logSoftmaxKernels: KernelSources = {
  log_softmax: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32',
    groups: ({ rows }) => rows,
    uses: [...ROW_USES, ...LOG],
    code: /* wgsl */ `
  ${ROW_NORMALIZER}
  let shift = logarithm(total);
  ${eachColumn('y[at] = (x[at] - largest) - shift;')}`,
  },

  log_softmax_backward: {
    parameters: 'y:[f32] dy:[f32] dx:[f32]! rows:u32 cols:u32',
    groups: ({ rows }) => rows,
    uses: [...EXP, ...GROUP_SUM],
    code: /* wgsl */ `
  var part = 0.0;
  ${eachColumn('part += dy[at];')}
  let sum = group_sum(lane, part);
  ${eachColumn('dx[at] = dy[at] - exponential(y[at]) * sum;')}`,
  },
}

// The gradient of the largest element of a row, shared evenly among equals.

import type { KernelSources } from './machine.ts'
import { eachColumn, GROUP_SUM } from './reduction.ts'

export const amaxKernels: KernelSources = {
  amax_backward: {
    parameters: 'x:[f32] y:[f32] dy:[f32] dx:[f32]! rows:u32 cols:u32',
    groups: ({ rows }) => rows,
    uses: GROUP_SUM,
    code: /* wgsl */ `
  var equals = 0.0;
  ${eachColumn('equals += select(0.0, 1.0, x[at] == y[group]);')}
  let ties = group_sum(lane, equals);
  ${eachColumn('dx[at] = select(0.0, dy[group] / ties, x[at] == y[group]);')}`,
  },
}

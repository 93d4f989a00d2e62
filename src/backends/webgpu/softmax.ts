// softmax of rows [rows, cols], one workgroup a row: y = e^(x − m) / Σ e^(x − m); dx = y (dy − Σ y·dy).

import type { KernelSources } from './machine.ts'
import { EXP } from './math.ts'
import { eachColumn, GROUP_MAX, GROUP_SUM } from './reduction.ts'

/** `largest` and `total`, the largest element of the row and Σ e^(x − largest). */
export const ROW_NORMALIZER: string = /* wgsl */ `
  var highest = -infinity();
  ${eachColumn('highest = max(highest, x[at]);')}
  let largest = group_max(lane, highest);
  var part = 0.0;
  ${eachColumn('part += exponential(x[at] - largest);')}
  let total = group_sum(lane, part);`

export const ROW_USES: readonly string[] = [...EXP, ...GROUP_MAX, ...GROUP_SUM]

export const softmaxKernels: KernelSources = {
  softmax: {
    parameters: 'x:[f32] y:[f32]! rows:u32 cols:u32',
    groups: ({ rows }) => rows,
    uses: ROW_USES,
    code: /* wgsl */ `
  ${ROW_NORMALIZER}
  ${eachColumn('y[at] = exponential(x[at] - largest) / total;')}`,
  },

  softmax_backward: {
    parameters: 'y:[f32] dy:[f32] dx:[f32]! rows:u32 cols:u32',
    groups: ({ rows }) => rows,
    uses: GROUP_SUM,
    code: /* wgsl */ `
  var part = 0.0;
  ${eachColumn('part += y[at] * dy[at];')}
  let along = group_sum(lane, part);
  ${eachColumn('dx[at] = y[at] * (dy[at] - along);')}`,
  },
}

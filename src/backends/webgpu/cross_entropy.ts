// Cross-entropy of rows of logits, one workgroup a row: formulas in src/ops/cross_entropy.ts.

import type { KernelSources } from './machine.ts'
import { EXP, LOG } from './math.ts'
import { eachColumn, GROUP_MAX, GROUP_SUM } from './reduction.ts'

const SIZE = 128
const each = (body: string): string => eachColumn(body, 'p.classes')

export const crossEntropyKernels: KernelSources = {
  cross_entropy: {
    parameters:
      'logits:[f32] goal:[i32] weight:[f32] weightStep:u32 losses:[f32]! weights:[f32]! ' +
      'normalizers:[f32]! rows:u32 classes:u32 ignoreIndex:i32 smoothing:f32',
    groups: ({ rows }) => rows,
    size: SIZE,
    uses: [...EXP, ...LOG, ...GROUP_MAX, ...GROUP_SUM],
    code: /* wgsl */ `
  var highest = -infinity();
  ${each('highest = max(highest, logits[at]);')}
  let m = group_max(lane, highest);
  var part = 0.0;
  ${each('part += exponential(logits[at] - m);')}
  let Z = group_sum(lane, part);
  let level = logarithm(Z);
  var spread = 0.0;
  if (p.smoothing > 0.0) {
    ${each('spread += weight[c * p.weightStep] * (m - logits[at] + level);')}
  }
  let others = group_sum(lane, spread);
  if (lane == 0u) {
    if (goal[group] == p.ignoreIndex) {
      losses[group] = 0.0;
      weights[group] = 0.0;
    } else {
      let answer = u32(goal[group]);
      let own = weight[answer * p.weightStep];
      let distance = m - logits[group * p.classes + answer] + level;
      var loss = (1.0 - p.smoothing) * own * distance;
      if (p.smoothing > 0.0) { loss += p.smoothing / f32(p.classes) * others; }
      losses[group] = loss;
      weights[group] = own;
      normalizers[2u * group] = m;
      normalizers[2u * group + 1u] = Z;
    }
  }`,
  },

  cross_entropy_reduce: {
    parameters: 'losses:[f32] weights:[f32] mean:u32 y:[f32]! divisor:[f32]! rows:u32',
    groups: () => 1,
    size: SIZE,
    uses: GROUP_SUM,
    code: /* wgsl */ `
  var loss = 0.0;
  var weight = 0.0;
  for (var r = lane; r < p.rows; r += SIZE) {
    loss += losses[r];
    weight += weights[r];
  }
  let total = group_sum(lane, loss);
  let count = group_sum(lane, weight);
  if (lane == 0u) {
    let by = select(1.0, count, p.mean == 1u);
    divisor[0] = by;
    y[0] = total / by;
  }`,
  },

  cross_entropy_backward: {
    parameters:
      'logits:[f32] goal:[i32] weight:[f32] weightStep:u32 normalizers:[f32] dy:[f32] dyStep:u32 ' +
      'divisor:[f32] dlogits:[f32]! rows:u32 classes:u32 ignoreIndex:i32 smoothing:f32',
    groups: ({ rows }) => rows,
    size: SIZE,
    uses: [...EXP, ...GROUP_SUM],
    code: /* wgsl */ `
  let share = p.smoothing / f32(p.classes);
  var sum = 0.0;
  if (p.smoothing > 0.0) {
    for (var c = lane; c < p.classes; c += SIZE) { sum += weight[c * p.weightStep]; }
  }
  let others = share * group_sum(lane, sum);
  let ignored = goal[group] == p.ignoreIndex;
  let answer = select(u32(goal[group]), 0u, ignored);
  let own = select((1.0 - p.smoothing) * weight[answer * p.weightStep], 0.0, ignored);
  let g = dy[group * p.dyStep] / divisor[0];
  let m = normalizers[2u * group];
  let Z = normalizers[2u * group + 1u];
  ${each(`
    var slope = 0.0;
    if (!ignored) {
      let expected = share * weight[c * p.weightStep] + select(0.0, own, c == answer);
      slope = g * ((own + others) * exponential(logits[at] - m) / Z - expected);
    }
    dlogits[at] = slope;`)}`,
  },
}

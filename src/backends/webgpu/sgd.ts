// Stochastic gradient descent: formulas in src/optim/sgd.ts. Nothing changes where the flag is set.

import type { KernelSources } from './machine.ts'

/** The clip factor with the sign of the direction; a flag in `control` that is set ends the kernel. */
export const FACTOR = /* wgsl */ `
  if (control[4] != 0.0) { return; }
  let factor = select(control[3], -control[3], p.maximize == 1u);`

export const sgdKernels: KernelSources = {
  sgd_advance: {
    parameters: 'clocks:[f32]! first:u32 count:u32 control:[f32]',
    threads: ({ count }) => count,
    code: 'if (control[4] == 0.0) { clocks[4u * (p.first + thread)] += 1.0; }',
  },

  sgd_update: {
    parameters: 'weight:[f32]! g:[f32] n:u32 control:[f32] lr:f32 weightDecay:f32 maximize:u32',
    threads: ({ n }) => n,
    code: /* wgsl */ `${FACTOR}
  let before = weight[thread];
  weight[thread] = before - p.lr * (factor * g[thread] + p.weightDecay * before);`,
  },

  sgd_momentum_update: {
    parameters:
      'weight:[f32]! g:[f32] moment:[f32]! n:u32 clocks:[f32] index:u32 control:[f32] lr:f32 ' +
      'momentum:f32 dampening:f32 weightDecay:f32 nesterov:u32 maximize:u32',
    threads: ({ n }) => n,
    code: /* wgsl */ `${FACTOR}
  let share = select(1.0 - p.dampening, 1.0, clocks[4u * p.index] == 1.0);
  let before = weight[thread];
  let gradient = factor * g[thread] + p.weightDecay * before;
  let kept = p.momentum * moment[thread] + share * gradient;
  moment[thread] = kept;
  weight[thread] = before - p.lr * select(kept, gradient + p.momentum * kept, p.nesterov == 1u);`,
  },
}

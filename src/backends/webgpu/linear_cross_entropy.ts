// What the cross-entropy of a linear layer needs where its rows are computed in chunks; formulas in
// src/ops/linear_cross_entropy.ts. The rows of a chunk are those of cross_entropy.ts from p.start on.

import { crossEntropyKernels } from './cross_entropy.ts'
import type { KernelSources } from './machine.ts'
import type { Program } from './program.ts'

const whole = crossEntropyKernels as Record<string, Program>

/** The row of a chunk among all rows. */
const ROW = 'p.start + group'

const forward = whole.cross_entropy
const backward = whole.cross_entropy_backward

export const linearCrossEntropyKernels: KernelSources = {
  class_weights: {
    parameters: 'goal:[i32] weight:[f32] weightStep:u32 weights:[f32]! rows:u32 ignoreIndex:i32',
    threads: ({ rows }) => rows,
    code: /* wgsl */ `
  if (goal[thread] == p.ignoreIndex) { weights[thread] = 0.0; }
  else { weights[thread] = weight[u32(goal[thread]) * p.weightStep]; }`,
  },

  cross_entropy_chunk: {
    ...forward,
    parameters: forward.parameters.replace('rows:', 'start:u32 rows:'),
    code: forward.code
      .replaceAll('goal[group]', `goal[${ROW}]`)
      .replaceAll('losses[group]', `losses[${ROW}]`)
      .replaceAll('weights[group]', `weights[${ROW}]`),
  },

  cross_entropy_chunk_backward: {
    ...backward,
    parameters: backward.parameters
      .replace('logits:[f32]', 'logits:[f32]!')
      .replace('dlogits:[f32]!', 'start:u32'),
    code: backward.code
      .replaceAll('goal[group]', `goal[${ROW}]`)
      .replace('dy[group * p.dyStep]', `dy[(${ROW}) * p.dyStep]`)
      .replace('dlogits[at]', 'logits[at]'),
  },

  scale: {
    parameters: 'x:[f32] factor:[f32] y:[f32]! n:u32',
    threads: ({ n }) => n,
    code: 'y[thread] = x[thread] * factor[0];',
  },
}

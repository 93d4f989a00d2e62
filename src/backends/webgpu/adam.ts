// Adam and AdamW: formulas in src/optim/adam.ts. What float32 would lose is computed before: 1 − β, and
// 1 − βᵗ as 1 − e^(t log β), for the step count t is known to the device alone.

import { log } from '../../core/math.ts'
import type { KernelSources } from './machine.ts'
import { ONE_MINUS_EXP } from './math.ts'
import type { Kernel, Program } from './program.ts'
import { FACTOR } from './sgd.ts'

const advance: Program = {
  parameters: 'clocks:[f32]! first:u32 count:u32 control:[f32] log1:f32 log2:f32',
  threads: ({ count }) => count,
  uses: ONE_MINUS_EXP,
  code: /* wgsl */ `
  if (control[4] != 0.0) { return; }
  let at = 4u * (p.first + thread);
  let t = clocks[at] + 1.0;
  clocks[at] = t;
  clocks[at + 1u] = one_minus_exp(t * p.log1);
  clocks[at + 2u] = sqrt(one_minus_exp(t * p.log2));`,
}

const COEFFICIENTS =
  'n:u32 clocks:[f32] index:u32 control:[f32] lr:f32 beta1:f32 rest1:f32 beta2:f32 rest2:f32 ' +
  'epsilon:f32 weightDecay:f32 decoupled:u32 maximize:u32'

/** With amsgrad `largest` keeps the largest second moment so far. */
function updateProgram(amsgrad: boolean): Program {
  const largest = amsgrad ? 'largest:[f32]! ' : ''
  const divisor = amsgrad ? 'let w = max(largest[thread], v); largest[thread] = w;' : 'let w = v;'
  return {
    parameters: `weight:[f32]! g:[f32] first:[f32]! second:[f32]! ${largest}${COEFFICIENTS}`,
    threads: ({ n }) => n,
    code: /* wgsl */ `${FACTOR}
  let before = weight[thread];
  let decay = select(p.weightDecay, 0.0, p.decoupled == 1u);
  let gradient = factor * g[thread] + decay * before;
  let m = p.beta1 * first[thread] + p.rest1 * gradient;
  let v = p.beta2 * second[thread] + p.rest2 * gradient * gradient;
  first[thread] = m;
  second[thread] = v;
  ${divisor}
  let kept = select(1.0, 1.0 - p.lr * p.weightDecay, p.decoupled == 1u);
  let bias1 = clocks[4u * p.index + 1u];
  let bias2 = clocks[4u * p.index + 2u];
  weight[thread] = kept * before - p.lr / bias1 * m / (sqrt(w) / bias2 + p.epsilon);`,
  }
}

const [plain, amsgrad] = [updateProgram(false), updateProgram(true)]

/** Adds 1 − β beside each β, which is `at` parameters from the end of the buffers and counts. */
function withRests(kernel: Kernel, beta1At: number): Kernel {
  return (...parameters) => {
    const [beta1, beta2] = parameters.slice(beta1At, beta1At + 2) as number[]
    kernel(
      ...parameters.slice(0, beta1At),
      beta1,
      1 - beta1,
      beta2,
      1 - beta2,
      ...parameters.slice(beta1At + 2),
    )
  }
}

export const adamKernels: KernelSources = {
  adam_advance: machine => (clocks, first, count, control, beta1, beta2) => {
    // β = 0 makes the correction 1; its logarithm is no number.
    const [log1, log2] = [beta1, beta2].map(beta => Math.max(log(beta as number), -100))
    machine.program(advance)(clocks, first, count, control, log1, log2)
  },
  adam_update: machine => withRests(machine.program(plain), 9),
  adam_amsgrad_update: machine => withRests(machine.program(amsgrad), 10),
}

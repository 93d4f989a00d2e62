// Kullback–Leibler divergence of a target distribution from log-probabilities x, element by element,
// reduced; with g = dy / divisor:
//
//   target t         y = t (log t − x), 0 where t = 0     dx = −g t     dt = g (log t + 1 − x), 0 where t = 0
//   log-target t     y = e^t (t − x)                      dx = −g e^t   dt = g e^t (t − x + 1)

import { losses as binary } from '#kernels/losses'
import { checkChoice } from '../core/errors.ts'
import { exp, log } from '../core/math.ts'
import type { Tensor } from '../core/tensor.ts'
import type { BroadcastKernel } from './broadcast.ts'
import { defineLoss, divisorOf, type LossOp, REDUCTIONS, type Reduction } from './loss.ts'
import type { SumKernels } from './sum.ts'

export interface KlDivKernels extends SumKernels {
  readonly kl_div: BroadcastKernel
  readonly kl_div_backward: BroadcastKernel
  readonly kl_div_backward_target: BroadcastKernel
}

export const klDivOp: LossOp<KlDivKernels> = /* @__PURE__ */ defineLoss<KlDivKernels>({
  name: 'klDiv',
  formulas: {
    kl_div: (x, t) => (t === 0 ? 0 : t * (log(t) - x)),
    kl_div_backward: (dy, t) => -dy * t,
    kl_div_backward_target: (dy, x, t) => (t === 0 ? 0 : dy * (log(t) + 1 - x)),
  },
  binary,
  kernel: kernels => kernels.kl_div,
  dx: {
    kernel: kernels => kernels.kl_div_backward,
    operands: (dy, [, target]) => [dy, target],
  },
  dTarget: {
    kernel: kernels => kernels.kl_div_backward_target,
    operands: (dy, [x, target]) => [dy, x, target],
  },
})

export interface KlDivLogKernels extends SumKernels {
  readonly kl_div_log: BroadcastKernel
  readonly kl_div_log_backward: BroadcastKernel
  readonly kl_div_log_backward_target: BroadcastKernel
}

export const klDivLogOp: LossOp<KlDivLogKernels> = /* @__PURE__ */ defineLoss<KlDivLogKernels>({
  name: 'klDiv',
  formulas: {
    kl_div_log: (x, t) => exp(t) * (t - x),
    kl_div_log_backward: (dy, t) => -dy * exp(t),
    kl_div_log_backward_target: (dy, x, t) => dy * exp(t) * (t - x + 1),
  },
  binary,
  kernel: kernels => kernels.kl_div_log,
  dx: {
    kernel: kernels => kernels.kl_div_log_backward,
    operands: (dy, [, target]) => [dy, target],
  },
  dTarget: {
    kernel: kernels => kernels.kl_div_log_backward_target,
    operands: (dy, [x, target]) => [dy, x, target],
  },
})

export interface KlDivOptions {
  /**
   * The mean over all elements if absent, as in PyTorch; `batchmean` divides the sum by the size of the
   * first axis, which is the divergence as it is defined.
   */
  readonly reduction?: Reduction | 'batchmean'
  /** Whether the target is given as log-probabilities. */
  readonly logTarget?: boolean
}

/**
 * The divergence of `target` (probabilities) from `input` (log-probabilities), of one shape: a scalar, or
 * their shape with reduction `none`. Throws a `shape` error, a `dtype` error
 * for integers.
 *
 * @example
 * ```ts
 * import { klDiv, log, tensor } from 'lowrank'
 *
 * const p = tensor([0.25, 0.75], [1, 2])
 * console.log(klDiv(log(p), p, { reduction: 'batchmean' }).itemSync()) // 0
 * ```
 */
export function klDiv(input: Tensor, target: Tensor, options: KlDivOptions = {}): Tensor {
  const { reduction = 'mean', logTarget = false } = options
  checkChoice('klDiv: reduction', reduction, [...REDUCTIONS, 'batchmean'])
  const divisor =
    reduction === 'batchmean' ? (input.shape[0] ?? 1) : divisorOf('klDiv', reduction, input.size)
  return logTarget
    ? klDivLogOp([input, target], { divisor })
    : klDivOp([input, target], { divisor })
}

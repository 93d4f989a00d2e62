// Squared error: elements (x − t)², reduced; dx = 2 dy (x − t) / divisor, dt = −dx.

import type { Tensor } from '../core/tensor.ts'
import type { BroadcastKernel } from './broadcast.ts'
import { defineLoss, divisorOf, type LossOp, type Reduction } from './loss.ts'
import type { SumKernels } from './sum.ts'

export interface MseLossKernels extends SumKernels {
  readonly mse_loss: BroadcastKernel
  readonly mse_loss_backward: BroadcastKernel
}

export const mseLossOp: LossOp<MseLossKernels> = /* @__PURE__ */ defineLoss<MseLossKernels>({
  name: 'mseLoss',
  formulas: {
    mse_loss: (x, t) => (x - t) * (x - t),
    mse_loss_backward: (dy, x, t) => 2 * dy * (x - t),
  },
  kernel: kernels => kernels.mse_loss,
  dx: {
    kernel: kernels => kernels.mse_loss_backward,
    operands: (dy, [x, target]) => [dy, x, target],
  },
  dTarget: {
    kernel: kernels => kernels.mse_loss_backward,
    operands: (dy, [x, target]) => [dy, target, x],
  },
})

export interface MseLossOptions {
  /** The mean if absent; the mean of no elements is NaN. */
  readonly reduction?: Reduction
}

/**
 * The squared error of input and target, of one shape: a scalar, or their shape with reduction `none`.
 * Throws a `shape` error, and a `dtype` error for integers.
 *
 * @example
 * ```ts
 * import { mseLoss, tensor } from 'lowrank'
 *
 * console.log(mseLoss(tensor([1, 2], [2]), tensor([1, 4], [2])).itemSync()) // 2
 * ```
 */
export function mseLoss(input: Tensor, target: Tensor, options: MseLossOptions = {}): Tensor {
  const divisor = divisorOf('mseLoss', options.reduction ?? 'mean', input.size)
  return mseLossOp([input, target], { divisor })
}

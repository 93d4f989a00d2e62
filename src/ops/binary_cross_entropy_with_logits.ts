// Binary cross-entropy of logits x with targets t in [0, 1], p the weight of positive answers:
//
//   l  = (1 − t) s(x) + p t s(−x),              s(x) = log(1 + e^x) = max(x, 0) + log(1 + e^−|x|)
//   dx = g ((1 − t) σ(x) − p t σ(−x)),          dt = g (p s(−x) − s(x)),          g = dy / divisor
//
// PyTorch's formula, x − x t + (1 + (p − 1) t) s(−x), is the same with the terms ordered otherwise.
// Weights of elements multiply l before it is reduced.

import { losses as binary } from '#kernels/losses'
import { LowrankError } from '../core/errors.ts'
import { exp, log1p, sigmoid } from '../core/math.ts'
import { broadcastShapes, formatShape, sameShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import type { BroadcastKernel } from './broadcast.ts'
import { defineLoss, divisorOf, type LossOp, type Reduction } from './loss.ts'
import { mean } from './mean.ts'
import { mul } from './mul.ts'
import { type SumKernels, sum } from './sum.ts'

export interface BinaryCrossEntropyKernels extends SumKernels {
  readonly binary_cross_entropy_with_logits: BroadcastKernel
  readonly binary_cross_entropy_with_logits_backward: BroadcastKernel
  readonly binary_cross_entropy_with_logits_backward_target: BroadcastKernel
}

/** log(1 + e^x) */
function softplus(x: number): number {
  return Math.max(x, 0) + log1p(exp(-Math.abs(x)))
}

function element(x: number, t: number, p: number): number {
  return (1 - t) * softplus(x) + p * t * softplus(-x)
}

function slope(x: number, t: number, p: number): number {
  return (1 - t) * sigmoid(x) - p * t * sigmoid(-x)
}

export const binaryCrossEntropyWithLogitsOp: LossOp<BinaryCrossEntropyKernels> =
  /* @__PURE__ */ defineLoss<BinaryCrossEntropyKernels>({
    name: 'binaryCrossEntropyWithLogits',
    formulas: {
      binary_cross_entropy_with_logits: (x, t, p) => element(x, t, p),
      binary_cross_entropy_with_logits_backward: (dy, x, t, p) => dy * slope(x, t, p),
      binary_cross_entropy_with_logits_backward_target: (dy, x, p) =>
        dy * (p * softplus(-x) - softplus(x)),
    },
    binary,
    kernel: kernels => kernels.binary_cross_entropy_with_logits,
    dx: {
      kernel: kernels => kernels.binary_cross_entropy_with_logits_backward,
      operands: (dy, [x, target, positive]) => [dy, x, target, positive],
    },
    dTarget: {
      kernel: kernels => kernels.binary_cross_entropy_with_logits_backward_target,
      operands: (dy, [x, , positive]) => [dy, x, positive],
    },
  })

export interface BinaryCrossEntropyOptions {
  /** A constant that multiplies each element's loss; it broadcasts to the input. */
  readonly weight?: Tensor
  /** A constant that multiplies the loss of positive answers; it broadcasts to the input. */
  readonly posWeight?: Tensor
  /** The mean if absent; it divides by the number of elements, whatever their weights. */
  readonly reduction?: Reduction
}

function checkWeight(input: Tensor, name: string, weight: Tensor | undefined): void {
  const where = 'binaryCrossEntropyWithLogits'
  if (weight && !sameShape(broadcastShapes(where, input.shape, weight.shape), input.shape)) {
    throw new LowrankError(
      'shape',
      `${where}: ${name} ${formatShape(weight.shape)} does not broadcast to the input's ` +
        formatShape(input.shape),
    )
  }
}

/**
 * The cross-entropy of yes-or-no answers, from logits and targets in [0, 1] of one shape: a scalar, or
 * their shape with reduction `none`. Throws a `shape` error, a `dtype` error
 * for integers.
 *
 * @example
 * ```ts
 * import { binaryCrossEntropyWithLogits, tensor } from 'lowrank'
 *
 * const loss = binaryCrossEntropyWithLogits(tensor([0, 0], [2]), tensor([1, 0], [2]))
 * console.log(loss.itemSync()) // 0.6931471824645996
 * ```
 */
export function binaryCrossEntropyWithLogits(
  input: Tensor,
  target: Tensor,
  options: BinaryCrossEntropyOptions = {},
): Tensor {
  const { weight, posWeight, reduction = 'mean' } = options
  checkWeight(input, 'weight', weight)
  checkWeight(input, 'posWeight', posWeight)
  const op = binaryCrossEntropyWithLogitsOp
  const divisor = divisorOf('binaryCrossEntropyWithLogits', reduction, input.size)
  if (!weight) {
    return op([input, target, posWeight], { divisor })
  }
  const elements = mul(op([input, target, posWeight], {}), weight)
  return reduction === 'none' ? elements : reduction === 'sum' ? sum(elements) : mean(elements)
}

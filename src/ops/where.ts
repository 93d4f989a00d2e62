// y = a where the mask is 1, b where it is 0, all three broadcast; da = dy where the mask is 1, else 0;
// db the other way round; each summed to the shape of its operand.

import { arithmetic as binary } from '#kernels/arithmetic'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op } from '../core/op.ts'
import { broadcastShapes, type Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { type BinaryNumbers, type Operand, splitOperands } from './binary.ts'
import {
  type BroadcastKernel,
  broadcast,
  broadcastReference,
  refuseIntegers,
  sumTo,
} from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export interface WhereKernels extends SumKernels {
  readonly where: BroadcastKernel
}

export const whereReference: WhereKernels = /* @__PURE__ */ broadcastReference<WhereKernels>({
  where: (mask, a, b) => (mask === 0 ? b : a),
})

export interface WhereSaved {
  readonly mask: Tensor
  readonly shapes: readonly [a: Shape, b: Shape]
}

export const whereOp: Op<
  WhereKernels,
  readonly [mask: Tensor, a: Tensor | undefined, b: Tensor | undefined],
  BinaryNumbers,
  Tensor,
  WhereSaved
> = /* @__PURE__ */ defineOp({
  name: 'where',
  reference: whereReference,
  binary,

  forward(context, [mask, left, right], numbers) {
    const a = left ?? context.filled([], numbers.a ?? 0)
    const b = right ?? context.filled([], numbers.b ?? 0)
    refuseIntegers('where', [a, b])
    const values = broadcastShapes('where', a.shape, b.shape)
    const shape = broadcastShapes('where', mask.shape, values)
    const y = broadcast(context, context.kernels.where, [mask, a, b], shape)
    return { y, saved: { mask, shapes: [a.shape, b.shape] } }
  },

  backward(context, dy, { mask, shapes }) {
    const { kernels, needs } = context
    const zero = context.filled([], 0)
    const routed = (operands: readonly Tensor[], shape: Shape): Tensor =>
      sumTo(context, broadcast(context, kernels.where, operands, dy.shape), shape)
    return [
      undefined,
      needs[1] ? routed([mask, dy, zero], shapes[0]) : undefined,
      needs[2] ? routed([mask, zero, dy], shapes[1]) : undefined,
    ]
  },
})

/** Throws a `dtype` error unless a mask is of integers. */
export function checkMask(where: string, mask: Tensor): void {
  if (mask.dtype !== 'int32') {
    throw new LowrankError(
      'dtype',
      `${where}: expected an int32 mask of 0 and 1, got ${mask.dtype}`,
    )
  }
}

/**
 * a where `mask` (int32) is not 0, b where it is, broadcast by NumPy's rule; a number may stand for a or
 * b. Throws a `dtype` error for another mask or integer elements, a `shape` error where shapes do not
 * broadcast.
 *
 * @example
 * ```ts
 * import { tensor, where } from 'lowrank'
 *
 * const mask = tensor([1, 0], [2], { dtype: 'int32' })
 * console.log(where(mask, tensor([1, 2], [2]), -1).dataSync()) // Float32Array [1, -1]
 * ```
 */
export function where(mask: Tensor, a: Operand, b: Operand): Tensor {
  checkMask('where', mask)
  const { tensors, numbers } = splitOperands(a, b)
  return whereOp([mask, ...tensors], numbers)
}

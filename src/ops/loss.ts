// Losses that compare x and target element by element, summed up by a reduction: what mseLoss,
// binaryCrossEntropyWithLogits and klDiv share.
//
//   none   y = l(x, t)        sum   y = Σ l(x, t)        mean   y = Σ l(x, t) / n
//
// The elements of a sum are a temporary; backward starts from x and target again.

import type { Binary } from '../core/backend.ts'
import { checkChoice, LowrankError } from '../core/errors.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import { formatShape, sameShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import {
  type BroadcastKernel,
  broadcast,
  broadcastInto,
  broadcastReference,
  type Formulas,
  refuseIntegers,
} from './broadcast.ts'
import type { SumKernels } from './sum.ts'

/** How elements become a loss: their mean, their sum, or themselves. */
export type Reduction = 'mean' | 'sum' | 'none'

/** The kernel of a gradient and its operands, dy (or what stands for it) first. */
export interface LossGradient<K> {
  readonly kernel: (kernels: K) => BroadcastKernel
  readonly operands: (dy: Tensor, operands: readonly Tensor[]) => readonly Tensor[]
}

export interface LossDefinition<K extends SumKernels> {
  readonly name: string
  /** What its kernels compute, element by element. */
  readonly formulas: Formulas<Exclude<keyof K & string, keyof SumKernels>>
  readonly binary?: Binary
  /** The kernel of the elements, of x, target and the constants. */
  readonly kernel: (kernels: K) => BroadcastKernel
  readonly dx: LossGradient<K>
  readonly dTarget: LossGradient<K>
}

export interface LossOptions {
  /** What the sum of the elements is divided by; without it the elements are not summed. */
  readonly divisor?: number
}

/** x, target, and constants that broadcast, each 1 if absent. */
export type LossInputs = readonly [x: Tensor, target: Tensor, ...constants: (Tensor | undefined)[]]

export interface LossSaved {
  readonly operands: readonly Tensor[]
  readonly divisor: number | undefined
}

export type LossOp<K> = Op<K, LossInputs, LossOptions, Tensor, LossSaved>

function checkInputs(where: string, [x, target, ...constants]: LossInputs): void {
  if (!sameShape(x.shape, target.shape)) {
    throw new LowrankError(
      'shape',
      `${where}: the input is ${formatShape(x.shape)}, the target ${formatShape(target.shape)} ` +
        '(they must be equal; reshape or expand one of them)',
    )
  }
  if (constants.some(constant => constant?.requiresGrad)) {
    throw new LowrankError('argument', `${where}: weights are constants and get no gradient`)
  }
}

/** dy / divisor, for a dy of one element. */
function quotient<K extends SumKernels>(
  context: OpContext<K>,
  dy: Tensor,
  divisor: number | undefined,
): Tensor {
  if (divisor === undefined || divisor === 1) {
    return dy
  }
  const scaled = context.empty(dy.shape)
  context.kernels.sum(context.floats(dy), context.floats(scaled), 1, 1, 1, divisor)
  return scaled
}

export function defineLoss<K extends SumKernels>(definition: LossDefinition<K>): LossOp<K> {
  const { name, binary, dx, dTarget } = definition
  return defineOp({
    name,
    reference: broadcastReference<K>(definition.formulas),
    binary,

    forward(context, inputs, { divisor }) {
      checkInputs(name, inputs)
      const { shape, size } = inputs[0]
      const operands = inputs.map(input => input ?? context.filled([], 1))
      refuseIntegers(name, operands)
      const kernel = definition.kernel(context.kernels)
      const saved = { operands, divisor }
      if (divisor === undefined) {
        return { y: broadcast(context, kernel, operands, shape), saved }
      }
      const elements = context.temporary(size)
      broadcastInto(context, kernel, operands, elements, shape)
      const y = context.empty([])
      context.kernels.sum(elements, context.floats(y), 1, size, 1, divisor)
      return { y, saved }
    },

    backward(context, dy, { operands, divisor }) {
      const upstream = quotient(context, dy, divisor)
      return [dx, dTarget].map((gradient, i) =>
        context.needs[i]
          ? broadcast(
              context,
              gradient.kernel(context.kernels),
              gradient.operands(upstream, operands),
              operands[i].shape,
            )
          : undefined,
      )
    },
  })
}

export const REDUCTIONS: readonly string[] = ['mean', 'sum', 'none']

/** What a sum of `count` elements is divided by. Throws an `argument` error for another reduction. */
export function divisorOf(where: string, reduction: Reduction, count: number): number | undefined {
  checkChoice(`${where}: reduction`, reduction, REDUCTIONS)
  return reduction === 'none' ? undefined : reduction === 'mean' ? count : 1
}

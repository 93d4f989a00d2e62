// Ops of two operands that broadcast, either of which may be a number: what add, sub, mul, div, pow,
// maximum and minimum share. An op says its formula and, for each operand, the gradient at the shape
// of the result and which operands that needs; here they are kept and summed back to their shapes.

import type { Binary } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import { broadcastShapes, type Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import {
  type BroadcastKernel,
  broadcast,
  broadcastReference,
  type Formulas,
  refuseIntegers,
  sumTo,
} from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export type Operand = Tensor | number

/** The tensor that two operands give: of literal shape where both have the same one. */
export type Broadcast<A extends Operand, B extends Operand> =
  A extends Tensor<infer S>
    ? B extends Tensor<infer T>
      ? [S, T] extends [T, S]
        ? Tensor<S>
        : Tensor
      : Tensor<S>
    : B extends Tensor<infer T>
      ? Tensor<T>
      : Tensor

/** What a rule works with: the kernels, and a call of one of them at the shape of the result. */
export interface Rule<K> {
  readonly context: OpContext<K>
  readonly kernels: K
  apply(kernel: BroadcastKernel, ...operands: readonly Tensor[]): Tensor
}

/** The gradient of one operand, at the shape of the result. */
export interface OperandGradient<K> {
  /** The operands it reads. */
  readonly reads: 'none' | 'a' | 'b' | 'both'
  of(rule: Rule<K>, dy: Tensor, a: Tensor, b: Tensor): Tensor
}

export interface BinaryDefinition<K extends SumKernels> {
  readonly name: string
  readonly binary: Binary
  /** What its kernels compute, element by element. */
  readonly formulas: Formulas<Exclude<keyof K & string, keyof SumKernels>>
  kernel(kernels: K): BroadcastKernel
  readonly da: OperandGradient<K>
  readonly db: OperandGradient<K>
}

/** The numbers that stand in the places of absent tensors. */
export interface BinaryNumbers {
  readonly a?: number
  readonly b?: number
}

export interface BinarySaved {
  readonly a: Tensor | undefined
  readonly b: Tensor | undefined
  readonly shapes: readonly [a: Shape, b: Shape]
}

export type BinaryOp<K> = Op<
  K,
  readonly [a: Tensor | undefined, b: Tensor | undefined],
  BinaryNumbers,
  Tensor,
  BinarySaved
>

function ruleAt<K>(context: OpContext<K>, shape: Shape): Rule<K> {
  return {
    context,
    kernels: context.kernels,
    apply: (kernel, ...operands) => broadcast(context, kernel, operands, shape),
  }
}

export function defineBinary<K extends SumKernels>(definition: BinaryDefinition<K>): BinaryOp<K> {
  const { name, binary, da, db } = definition
  const read = (side: 'a' | 'b', needs: readonly boolean[]): boolean =>
    [da, db].some(({ reads }, i) => needs[i] && (reads === side || reads === 'both'))
  return defineOp({
    name,
    reference: broadcastReference<K>(definition.formulas),
    binary,

    forward(context, inputs, numbers) {
      const a = inputs[0] ?? context.filled([], numbers.a ?? 0)
      const b = inputs[1] ?? context.filled([], numbers.b ?? 0)
      refuseIntegers(name, [a, b])
      const shape = broadcastShapes(name, a.shape, b.shape)
      const y = broadcast(context, definition.kernel(context.kernels), [a, b], shape)
      const saved: BinarySaved = {
        a: read('a', context.needs) ? a : undefined,
        b: read('b', context.needs) ? b : undefined,
        shapes: [a.shape, b.shape],
      }
      return { y, saved }
    },

    backward(context, dy, saved) {
      const rule = ruleAt(context, dy.shape)
      return [da, db].map((gradient, i) => {
        if (!context.needs[i]) {
          return undefined
        }
        const whole = gradient.of(rule, dy, saved.a as Tensor, saved.b as Tensor)
        return sumTo(context, whole, saved.shapes[i])
      })
    },
  })
}

/** Tensors in their places, and the numbers that stand in the others. */
export interface Split {
  readonly tensors: readonly [a: Tensor | undefined, b: Tensor | undefined]
  readonly numbers: BinaryNumbers
}

export function splitOperands(a: Operand, b: Operand): Split {
  const tensor = (x: Operand): Tensor | undefined => (typeof x === 'number' ? undefined : x)
  const number = (x: Operand): number | undefined => (typeof x === 'number' ? x : undefined)
  return { tensors: [tensor(a), tensor(b)], numbers: { a: number(a), b: number(b) } }
}

/** Calls a binary op on tensors and numbers; throws an `argument` error where both are numbers. */
export function callBinary<K, A extends Operand, B extends Operand>(
  op: BinaryOp<K>,
  a: A,
  b: B,
): Broadcast<A, B> {
  const { tensors, numbers } = splitOperands(a, b)
  if (!tensors[0] && !tensors[1]) {
    throw new LowrankError(
      'argument',
      `${op.definition.name}: expected at least one tensor, got the numbers ${a} and ${b}`,
    )
  }
  return op(tensors, numbers) as Broadcast<A, B>
}

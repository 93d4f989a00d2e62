// Ops of one operand, element by element: y = f(x), dx = dy f'(x). An op says f, f', and whether the
// derivative is had from x or from y; only that is kept.

import { elementwise as binary } from '#kernels/elementwise'
import type { Floats } from '../core/backend.ts'
import { defineOp, type Op } from '../core/op.ts'
import type { Tensor } from '../core/tensor.ts'
import { gradientRoom } from './gradient_room.ts'

/** y[i] = f(x[i]) for i < n. */
export type UnaryKernel = (x: Floats, y: Floats, n: number) => void

/** dx[i] = dy[i] f'(kept[i]) for i < n, kept being x or y; dx may be kept. */
export type UnaryBackwardKernel = (kept: Floats, dy: Floats, dx: Floats, n: number) => void

export interface UnaryDefinition {
  /** The name of the kernel; that of the other one has `_backward` added. */
  readonly name: string
  formula(x: number): number
  readonly keeps: 'x' | 'y'
  /** The derivative, from what is kept. */
  slope(kept: number): number
}

/** Two kernels, under names that only the definition knows. */
export type UnaryKernels = Readonly<Record<string, unknown>>

export type UnaryOp = Op<
  UnaryKernels,
  readonly [x: Tensor],
  object,
  Tensor,
  { readonly kept: Tensor }
>

function unaryReference({ name, formula, slope }: UnaryDefinition): UnaryKernels {
  const forward: UnaryKernel = (x, y, n) => {
    for (let i = 0; i < n; i++) {
      y[i] = formula(x[i])
    }
  }
  const backward: UnaryBackwardKernel = (kept, dy, dx, n) => {
    for (let i = 0; i < n; i++) {
      dx[i] = dy[i] * slope(kept[i])
    }
  }
  return { [name]: forward, [`${name}_backward`]: backward }
}

export function defineUnary(definition: UnaryDefinition): UnaryOp {
  const { name, keeps } = definition
  return defineOp({
    name,
    reference: unaryReference(definition),
    binary,

    forward(context, [x]) {
      const y = context.empty(x.shape)
      const kernel = context.kernels[name] as UnaryKernel
      kernel(context.floats(x), context.floats(y), x.size)
      return { y, saved: { kept: keeps === 'x' ? x : y } }
    },

    backward(context, dy, { kept }) {
      const dx = gradientRoom(context, kept)
      const kernel = context.kernels[`${name}_backward`] as UnaryBackwardKernel
      kernel(context.floats(kept), context.floats(dy), context.floats(dx), dy.size)
      return [dx]
    },
  })
}

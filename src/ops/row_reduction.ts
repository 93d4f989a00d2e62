// Reductions of rows to numbers, y [rows] from x [rows, cols], along any axes: what amax, prod,
// logsumexp, var, std and norm share. An op says what happens to rows; here is where the rows come from
// and where the gradient goes.

import type { Binary, Floats } from '../core/backend.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import type { Tensor } from '../core/tensor.ts'
import { axesOf, type ReductionOptions, reducedShape, refuseEmpty } from './axes.ts'
import { type Rows, readRows, rowsAlong, writeRows } from './rows.ts'

/** What backward works with: x and dx [rows, cols], y and dy [rows]. */
export interface RowOperands {
  readonly x: Floats
  readonly y: Floats
  readonly dy: Floats
  readonly dx: Floats
}

export interface RowReduction<K, A extends ReductionOptions> {
  readonly name: string
  readonly reference: K
  readonly binary: Binary
  /** Whether a row without elements is an error. */
  readonly refusesEmpty?: boolean
  forward(context: OpContext<K>, x: Floats, y: Floats, layout: Rows, options: A): void
  backward(context: OpContext<K>, operands: RowOperands, layout: Rows, options: A): void
}

export interface RowReductionSaved<A> {
  readonly x: Tensor
  readonly y: Tensor
  readonly layout: Rows
  readonly options: A
}

export type RowReductionOp<K, A extends ReductionOptions = ReductionOptions> = Op<
  K,
  readonly [x: Tensor],
  A,
  Tensor,
  RowReductionSaved<A>
>

export function defineRowReduction<K, A extends ReductionOptions = ReductionOptions>(
  reduction: RowReduction<K, A>,
): RowReductionOp<K, A> {
  const { name, reference, binary } = reduction
  return defineOp({
    name,
    reference,
    binary,

    forward(context, [x], options: A) {
      const axes = axesOf(name, x.shape, options.dim)
      if (reduction.refusesEmpty) {
        refuseEmpty(name, x.shape, axes)
      }
      const layout = rowsAlong(x.shape, axes)
      const y = context.empty(reducedShape(x.shape, axes, options.keepdim))
      const rows = readRows(context, context.floats(x), layout)
      reduction.forward(context, rows, context.floats(y), layout, options)
      return { y, saved: { x, y, layout, options } }
    },

    backward(context, upstream, { x: input, y: output, layout, options }) {
      const gradient = context.empty(input.shape)
      const x = readRows(context, context.floats(input), layout)
      const y = context.floats(output)
      const dy = context.floats(upstream)
      writeRows(context, gradient, layout, dx => {
        reduction.backward(context, { x, y, dy, dx }, layout, options)
      })
      return [gradient]
    },
  })
}

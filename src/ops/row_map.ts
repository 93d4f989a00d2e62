// Maps of rows to rows, y [rows, cols] from x [rows, cols], along one axis: what softmax, logSoftmax and
// cumsum share. An op says what happens to rows; here is where rows and gradients come from and go.

import type { Binary, Floats } from '../core/backend.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import { normalizeAxis } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { type Rows, readRows, rowsAlong, writeRows } from './rows.ts'

export interface AxisOptions {
  /** The axis; the last one if absent. */
  readonly dim?: number
}

export interface RowMap<K> {
  readonly name: string
  readonly reference: K
  readonly binary: Binary
  forward(context: OpContext<K>, x: Floats, y: Floats, layout: Rows): void
  /** dx from what forward gave and dy. */
  backward(context: OpContext<K>, y: Floats, dy: Floats, dx: Floats, layout: Rows): void
}

export interface RowMapSaved {
  readonly y: Tensor
  readonly layout: Rows
}

export type RowMapOp<K> = Op<K, readonly [x: Tensor], AxisOptions, Tensor, RowMapSaved>

export function defineRowMap<K>(map: RowMap<K>): RowMapOp<K> {
  const { name, reference, binary } = map
  return defineOp({
    name,
    reference,
    binary,

    forward(context, [x], { dim = -1 }) {
      const axis = normalizeAxis(name, x.shape.length === 0 && dim === -1 ? 0 : dim, x.shape.length)
      const layout = rowsAlong(x.shape, x.shape.length === 0 ? [] : [axis])
      const y = context.empty(x.shape)
      const rows = readRows(context, context.floats(x), layout)
      writeRows(context, y, layout, target => map.forward(context, rows, target, layout))
      return { y, saved: { y, layout } }
    },

    backward(context, upstream, { y: output, layout }) {
      const gradient = context.empty(output.shape)
      const y = readRows(context, context.floats(output), layout)
      const dy = readRows(context, context.floats(upstream), layout)
      writeRows(context, gradient, layout, dx => map.backward(context, y, dy, dx, layout))
      return [gradient]
    },
  })
}

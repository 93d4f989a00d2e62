// A tensor as rows along some of its axes: [rows, cols], cols running over the given axes and rows over
// the others. Kernels of softmax, norms and the like know rows only; where the axes are not the last
// ones, the elements are copied into that order and back.

import type { Floats } from '../core/backend.ts'
import type { OpContext } from '../core/op.ts'
import { countOf, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { copyView, inOrder, whole } from './strided.ts'

export interface Rows {
  readonly rows: number
  readonly cols: number
  readonly shape: Shape
  /** The axes of the tensor in the order of its rows: those across, then those along. */
  readonly order: readonly number[]
  /** Whether the tensor has this order already. */
  readonly inOrder: boolean
}

export function rowsAlong(shape: Shape, axes: readonly number[]): Rows {
  const across = shape.map((_, axis) => axis).filter(axis => !axes.includes(axis))
  const order = [...across, ...axes]
  const strides = stridesOf(shape)
  const sizes = order.map(axis => shape[axis])
  return {
    rows: countOf(across.map(axis => shape[axis])),
    cols: countOf(axes.map(axis => shape[axis])),
    shape,
    order,
    inOrder: inOrder(
      order.map(axis => strides[axis]),
      sizes,
    ),
  }
}

/** The elements row by row. */
export function readRows<K>(context: OpContext<K>, x: Floats, layout: Rows): Floats {
  if (layout.inOrder) {
    return x
  }
  const { shape, order } = layout
  const strides = stridesOf(shape)
  const sizes = order.map(axis => shape[axis])
  const rows = context.temporary(countOf(shape))
  const from = { buffer: x, offset: 0, strides: order.map(axis => strides[axis]) }
  copyView(context, from, whole(rows, sizes), sizes)
  return rows
}

/** Lets `compute` fill y row by row. */
export function writeRows<K>(
  context: OpContext<K>,
  y: Tensor,
  layout: Rows,
  compute: (rows: Floats) => void,
): void {
  const target = context.floats(y)
  if (layout.inOrder) {
    compute(target)
    return
  }
  const { shape, order } = layout
  const rows = context.temporary(y.size)
  compute(rows)
  const strides = stridesOf(order.map(axis => shape[axis]))
  const from = shape.map((_, axis) => strides[order.indexOf(axis)])
  copyView(context, { buffer: rows, offset: 0, strides: from }, whole(target, shape), shape)
}

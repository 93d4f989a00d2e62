// Sum over any axes: y = Σ x, dx = dy in every place that was summed. Sums are kept in float64 and
// rounded once, on every backend that has it.

import type { Floats } from '../core/backend.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import { countOf, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { axesOf, type ReductionOptions, reducedShape, splitAt } from './axes.ts'
import { readRows, rowsAlong } from './rows.ts'
import { copyView, whole } from './strided.ts'

export interface SumKernels {
  /** y [outer, inner] = (Σ over the middle axis of x [outer, count, inner]) / divisor. */
  readonly sum: (
    x: Floats,
    y: Floats,
    outer: number,
    count: number,
    inner: number,
    divisor: number,
  ) => void
}

export const sumReference: SumKernels = {
  sum(x, y, outer, count, inner, divisor) {
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        let sum = 0
        for (let k = 0; k < count; k++) {
          sum += x[(o * count + k) * inner + i]
        }
        y[o * inner + i] = sum / divisor
      }
    }
  },
}

/** Whether no axis that counts lies between two of `axes`. */
function adjacent(shape: Shape, axes: readonly number[]): boolean {
  const first = axes[0]
  const last = axes[axes.length - 1]
  return shape.every(
    (size, axis) => axis < first || axis > last || size === 1 || axes.includes(axis),
  )
}

/** y = (Σ over `axes` of x) / divisor, for an x of `shape`. */
export function sumOver<K extends SumKernels>(
  context: OpContext<K>,
  x: Floats,
  shape: Shape,
  axes: readonly number[],
  y: Floats,
  divisor: number,
): void {
  if (axes.length > 0 && adjacent(shape, axes)) {
    const { outer, size, inner } = splitAt(shape, axes[0], axes[axes.length - 1])
    context.kernels.sum(x, y, outer, size, inner, divisor)
    return
  }
  const layout = rowsAlong(shape, axes)
  const elements = readRows(context, x, layout)
  context.kernels.sum(elements, y, layout.rows, layout.cols, 1, divisor)
}

/** dx = dy / divisor in every place that `sumOver` summed. */
function spread(
  context: OpContext<SumKernels>,
  dy: Tensor,
  { shape, axes, divisor }: SumSaved,
): Tensor {
  let from = context.floats(dy)
  if (divisor !== 1) {
    const quotient = context.temporary(dy.size)
    context.kernels.sum(from, quotient, dy.size, 1, 1, divisor)
    from = quotient
  }
  const kept = stridesOf(reducedShape(shape, axes, true))
  const strides = kept.map((stride, axis) => (axes.includes(axis) ? 0 : stride))
  const dx = context.empty(shape)
  copyView(context, { buffer: from, offset: 0, strides }, whole(context.floats(dx), shape), shape)
  return dx
}

export interface SumSaved {
  readonly shape: Shape
  readonly axes: readonly number[]
  readonly divisor: number
}

export type SumOp = Op<SumKernels, readonly [x: Tensor], ReductionOptions, Tensor, SumSaved>

/** An op that sums and divides by what `divisorOf` makes of the number of elements in a sum. */
export function defineSum(name: string, divisorOf: (count: number) => number): SumOp {
  return defineOp({
    name,
    reference: sumReference,

    forward(context, [x], { dim, keepdim }) {
      const { shape } = x
      const axes = axesOf(name, shape, dim)
      const divisor = divisorOf(countOf(axes.map(axis => shape[axis])))
      const y = context.empty(reducedShape(shape, axes, keepdim))
      sumOver(context, context.floats(x), shape, axes, context.floats(y), divisor)
      return { y, saved: { shape, axes, divisor } }
    },

    backward(context, dy, saved) {
      return [spread(context, dy, saved)]
    },
  })
}

export const sumOp: SumOp = /* @__PURE__ */ defineSum('sum', () => 1)

/**
 * The sum over `dim` (one axis, a list, or all), of no elements 0. Throws an `argument` error for an
 * axis that does not exist.
 *
 * @example
 * ```ts
 * import { sum, tensor } from 'lowrank'
 *
 * const x = tensor([1, 2, 3, 4], [2, 2])
 * console.log(sum(x).itemSync(), sum(x, { dim: 0 }).dataSync()) // 10 Float32Array [4, 6]
 * ```
 */
export function sum(x: Tensor, options: ReductionOptions = {}): Tensor {
  return sumOp([x], options)
}

// Largest element along one axis with its position, the first of equals: y = x[index]. The gradient goes
// to that one element, as in PyTorch; without an axis equals share it (amax).

import { reductions as binary } from '#kernels/reductions'
import { defineOp, type Op } from '../core/op.ts'
import { normalizeAxis, type Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { amax } from './amax.ts'
import { type ArgmaxKernels, argmaxReference } from './argmax.ts'
import { reducedShape, refuseEmpty, splitAt } from './axes.ts'
import { type GatherKernels, gatherReference } from './gather.ts'
import { readRows, rowsAlong } from './rows.ts'

export interface ExtremeOptions {
  readonly dim: number
  /** Whether the axis stays, with size 1. */
  readonly keepdim?: boolean
}

export interface Extreme {
  readonly values: Tensor
  /** int32, from 0. */
  readonly indices: Tensor
}

interface Kernels extends ArgmaxKernels, GatherKernels {}

export interface ExtremeSaved {
  readonly indices: Tensor
  readonly shape: Shape
  readonly axis: number
}

export type ExtremeOp = Op<
  Kernels,
  readonly [x: Tensor],
  ExtremeOptions,
  readonly [values: Tensor, indices: Tensor],
  ExtremeSaved
>

/** The op for the largest elements, or the smallest ones for sign −1. */
export function defineExtreme(name: string, sign: number): ExtremeOp {
  return defineOp({
    name,
    reference: { ...argmaxReference, ...gatherReference },
    binary,

    forward(context, [x], { dim, keepdim }) {
      const { shape } = x
      const axis = normalizeAxis(name, dim, shape.length)
      const axes = shape.length === 0 ? [] : [axis]
      refuseEmpty(name, shape, axes)
      const left = reducedShape(shape, axes, keepdim)
      const values = context.empty(left)
      const indices = context.empty(left, 'int32')
      const { argmax, gather } = context.kernels
      const source = context.floats(x)
      const positions = context.ints(indices)
      const layout = rowsAlong(shape, axes)
      argmax(readRows(context, source, layout), positions, layout.rows, layout.cols, sign)
      const { outer, size, inner } = splitAt(shape, axis)
      gather(source, positions, context.floats(values), outer, size, 1, inner)
      return { y: [values, indices], saved: { indices, shape, axis } }
    },

    backward(context, [dvalues], { indices, shape, axis }) {
      const dx = context.filled(shape, 0)
      const { outer, size, inner } = splitAt(shape, axis)
      const positions = context.ints(indices)
      // Integers have no gradient: where this op is walked, the values have one.
      const upstream = context.floats(dvalues as Tensor)
      context.kernels.scatter_add(upstream, positions, context.floats(dx), outer, size, 1, inner)
      return [dx]
    },
  })
}

export const maxOp: ExtremeOp = /* @__PURE__ */ defineExtreme('max', 1)

/**
 * The largest elements along `dim` and where they are, the first of equals; without `dim`, the largest
 * of all. Throws a `shape` error where there are no elements.
 *
 * @example
 * ```ts
 * import { max, tensor } from 'lowrank'
 *
 * const { values, indices } = max(tensor([1, 5, 3, 2], [2, 2]), { dim: 1 })
 * console.log(values.dataSync(), indices.dataSync()) // Float32Array [5, 3] Int32Array [1, 0]
 * ```
 */
export function max(x: Tensor): Tensor
export function max(x: Tensor, options: ExtremeOptions): Extreme
export function max(x: Tensor, options?: ExtremeOptions): Tensor | Extreme {
  if (!options) {
    return amax(x)
  }
  const [values, indices] = maxOp([x], options)
  return { values, indices }
}

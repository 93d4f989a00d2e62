// permute: the axes of x in another order, y[i_dims[0], i_dims[1], …] = x[i_0, i_1, …]; dx is dy in the
// order of x.

import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import { formatShape, normalizeAxis, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { copyView, elementsOf, emptyLike, inOrder, whole } from './strided.ts'

interface Order {
  readonly order: readonly number[]
}

function permuted(context: OpContext<object>, x: Tensor, order: readonly number[]): Tensor {
  const source = stridesOf(x.shape)
  const strides = order.map(axis => source[axis])
  const shape = order.map(axis => x.shape[axis])
  if (inOrder(strides, shape)) {
    return context.alias(x, shape)
  }
  const y = emptyLike(context, x, shape)
  const view = { buffer: elementsOf(context, x), offset: 0, strides }
  copyView(context, view, whole(elementsOf(context, y), shape), shape)
  return y
}

export const permuteOp: Op<object, readonly [x: Tensor], Order, Tensor, Order> =
  /* @__PURE__ */ defineOp({
    name: 'permute',
    reference: {},

    forward(context, [x], { order }) {
      return { y: permuted(context, x, order), saved: { order } }
    },

    backward(context, dy, { order }) {
      const back = order.map((_, axis) => order.indexOf(axis))
      return [permuted(context, dy, back)]
    },
  })

/**
 * x with its axes in the order `dims`. Throws an `argument` error unless every axis is named once.
 *
 * @example
 * ```ts
 * import { permute, tensor } from 'lowrank'
 *
 * const y = permute(tensor([1, 2, 3, 4, 5, 6], [2, 3]), [1, 0])
 * console.log(y.dataSync()) // Float32Array [1, 4, 2, 5, 3, 6]
 * ```
 */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  const order = dims.map(axis => normalizeAxis('permute', axis, x.shape.length))
  if (order.length !== x.shape.length || new Set(order).size !== order.length) {
    throw new LowrankError(
      'argument',
      `permute: expected every axis of ${formatShape(x.shape)} once, got [${dims.join(', ')}]`,
    )
  }
  return permuteOp([x], { order })
}

// cat: tensors one after the other along an axis; the gradient of each is its part of dy.

import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op } from '../core/op.ts'
import { formatShape, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { axisOf } from './axes.ts'
import { copyView, elementsOf, emptyLike, whole } from './strided.ts'

export interface CatSaved {
  readonly axis: number
  readonly shapes: readonly Shape[]
}

export const catOp: Op<object, readonly Tensor[], { readonly axis: number }, Tensor, CatSaved> =
  /* @__PURE__ */ defineOp({
    name: 'cat',
    reference: {},

    forward(context, parts, { axis }) {
      const shapes = parts.map(part => part.shape)
      const length = shapes.reduce((sum, shape) => sum + shape[axis], 0)
      const y = emptyLike(
        context,
        parts[0],
        shapes[0].map((size, i) => (i === axis ? length : size)),
      )
      const target = elementsOf(context, y)
      const strides = stridesOf(y.shape)
      let start = 0
      parts.forEach((part, i) => {
        const view = { buffer: target, offset: start * strides[axis], strides }
        copyView(context, whole(elementsOf(context, part), shapes[i]), view, shapes[i])
        start += shapes[i][axis]
      })
      return { y, saved: { axis, shapes } }
    },

    backward(context, dy, { axis, shapes }) {
      const source = context.floats(dy)
      const strides = stridesOf(dy.shape)
      let start = 0
      return shapes.map((shape, i) => {
        const view = { buffer: source, offset: start * strides[axis], strides }
        start += shape[axis]
        if (!context.needs[i]) {
          return undefined
        }
        const dx = context.empty(shape)
        copyView(context, view, whole(context.floats(dx), shape), shape)
        return dx
      })
    },
  })

function checkParts(parts: readonly Tensor[], axis: number): void {
  const [first] = parts
  for (const part of parts) {
    const fits =
      part.shape.length === first.shape.length &&
      part.shape.every((size, i) => i === axis || size === first.shape[i])
    if (!fits) {
      throw new LowrankError(
        'shape',
        `cat: expected sizes that differ along dim ${axis} only, got ` +
          `${parts.map(({ shape }) => formatShape(shape)).join(' and ')}`,
      )
    }
    if ((part.dtype === 'int32') !== (first.dtype === 'int32')) {
      throw new LowrankError('dtype', 'cat: expected only floats or only int32, got both')
    }
  }
}

/**
 * Tensors one after the other along `dim`, 0 if absent. Throws a `shape` error unless they agree on all
 * other axes.
 *
 * @example
 * ```ts
 * import { cat, tensor } from 'lowrank'
 *
 * console.log(cat([tensor([1, 2], [1, 2]), tensor([3, 4], [1, 2])]).shape) // [2, 2]
 * ```
 */
export function cat(parts: readonly Tensor[], { dim = 0 }: { readonly dim?: number } = {}): Tensor {
  if (parts.length === 0) {
    throw new LowrankError('argument', 'cat: expected at least one tensor, got none')
  }
  const axis = axisOf('cat', parts[0].shape, dim)
  checkParts(parts, axis)
  return catOp(parts, { axis })
}

// Reshape: the same elements under another shape, without a copy. dx is dy under the shape of x.

import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op } from '../core/op.ts'
import { countOf, formatShape, type Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'

export const reshapeOp: Op<
  object,
  readonly [x: Tensor],
  { readonly shape: Shape },
  Tensor,
  { readonly shape: Shape }
> = /* @__PURE__ */ defineOp({
  name: 'reshape',
  reference: {},

  forward(context, [x], { shape }) {
    return { y: context.alias(x, shape), saved: { shape: x.shape } }
  },

  backward(context, dy, saved) {
    return [context.alias(dy, saved.shape)]
  },
})

/** Replaces one size of -1 by what is left over. */
function inferred(shape: Shape, count: number): Shape {
  const known = countOf(shape.filter(size => size !== -1))
  return shape.map(size => (size === -1 ? count / known : size))
}

/**
 * x under another shape with as many elements; one size may be -1. Throws a `shape` error.
 *
 * @example
 * ```ts
 * import { reshape, tensor } from 'lowrank'
 *
 * console.log(reshape(tensor([1, 2, 3, 4], [4]), [2, -1]).shape) // [2, 2]
 * ```
 */
export function reshape<const S extends Shape>(x: Tensor, shape: S): Tensor<S> {
  const target = inferred(shape, x.size)
  if (countOf(target) !== x.size || !target.every(size => Number.isInteger(size) && size >= 0)) {
    throw new LowrankError(
      'shape',
      `reshape: ${formatShape(x.shape)} has ${x.size} elements, which do not fit ${formatShape(shape)}`,
    )
  }
  return reshapeOp([x], { shape: target }) as Tensor<S>
}

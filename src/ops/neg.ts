// y = −x; dx = −dy.

import { elementwise as binary } from '#kernels/elementwise'
import type { Floats } from '../core/backend.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'

export interface NegKernels {
  readonly neg: (x: Floats, y: Floats, n: number) => void
}

export const negReference: NegKernels = {
  neg(x, y, n) {
    for (let i = 0; i < n; i++) {
      y[i] = -x[i]
    }
  },
}

function negated(context: OpContext<NegKernels>, x: Tensor): Tensor {
  const y = context.empty(x.shape)
  context.kernels.neg(context.floats(x), context.floats(y), x.size)
  return y
}

export const negOp: Op<NegKernels, readonly [x: Tensor], object, Tensor, object> =
  /* @__PURE__ */ defineOp({
    name: 'neg',
    reference: negReference,
    binary,

    forward(context, [x]) {
      return { y: negated(context, x), saved: {} }
    },

    backward(context, dy) {
      return [negated(context, dy)]
    },
  })

/**
 * −x, element by element.
 *
 * @example
 * ```ts
 * import { neg, tensor } from 'lowrank'
 *
 * console.log(neg(tensor([3, -2], [2])).dataSync()) // Float32Array [-3, 2]
 * ```
 */
export function neg<S extends Shape>(x: Tensor<S>): Tensor<S> {
  return negOp([x], {}) as Tensor<S>
}

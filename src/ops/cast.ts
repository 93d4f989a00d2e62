// cast: x in another float type, rounded to nearest, ties to even, what is too large to infinity.
// Gradients are float32 whatever the types: dx = dy.

import type { Floats } from '../core/backend.ts'
import { FORMAT } from '../core/dtype.ts'
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from '../core/half.ts'
import { defineOp, type Op } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'

export type FloatType = 'float32' | 'float16' | 'bfloat16'

export interface CastKernels {
  /** y[n] float32 = x[n] in `format` (see core/dtype.ts). */
  readonly widen: (x: Floats, format: number, y: Floats, n: number) => void
  /** y[n] in `format` = x[n] float32. */
  readonly narrow: (x: Floats, y: Floats, format: number, n: number) => void
}

// The reference backend holds the values of halves, not their bits.
export const castReference: CastKernels = {
  widen(x, _format, y, n) {
    for (let i = 0; i < n; i++) {
      y[i] = x[i]
    }
  },

  narrow(x, y, format, n) {
    for (let i = 0; i < n; i++) {
      y[i] =
        format === FORMAT.float16
          ? float16ToFloat32(float32ToFloat16(x[i]))
          : bfloat16ToFloat32(float32ToBfloat16(x[i]))
    }
  },
}

export const castOp: Op<
  CastKernels,
  readonly [x: Tensor],
  { readonly dtype: FloatType },
  Tensor,
  object
> = /* @__PURE__ */ defineOp({
  name: 'cast',
  reference: castReference,

  forward(context, [x], { dtype }) {
    const y = context.empty(x.shape, dtype)
    const { buffer } = context.matrix(y, false)
    if (dtype === 'float32') {
      context.kernels.widen(context.floats(x), FORMAT.float32, buffer, x.size)
    } else {
      context.kernels.narrow(context.floats(x), buffer, FORMAT[dtype], x.size)
    }
    return { y, saved: {} }
  },

  backward(_context, dy) {
    return [dy]
  },
})

/**
 * x as float32, float16 or bfloat16; x itself where it is that already. Throws a `dtype` error for
 * integers.
 *
 * @example
 * ```ts
 * import { cast, tensor } from 'lowrank'
 *
 * console.log(cast(tensor([1.01], [1]), 'bfloat16').dataSync()) // Float32Array [1.0078125]
 * ```
 */
export function cast<S extends Shape>(x: Tensor<S>, dtype: FloatType): Tensor<S> {
  return x.dtype === dtype ? x : (castOp([x], { dtype }) as Tensor<S>)
}

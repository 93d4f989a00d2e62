// SwiGLU (Shazeer, arXiv 2002.05202), as one op: gate and up [..., C], y [..., C].
//
//   y = silu(gate) up, silu(x) = x σ(x)        dgate = dy up silu'(gate)        dup = dy silu(gate)
//
// Only gate and up are kept: σ(gate) is computed again, and where nothing else reads them their
// gradients overwrite them.

import { transformer as binary } from '#kernels/transformer'
import type { Floats } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { sigmoid } from '../core/math.ts'
import { defineOp, type Op } from '../core/op.ts'
import { formatShape, type Shape, sameShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { gradientRoom } from './gradient_room.ts'
import { siluSlope } from './silu.ts'

export interface SwigluKernels {
  /** y [rows, cols]; gate and up may be parts of matrices. */
  readonly swiglu: (
    gate: Floats,
    gateOffset: number,
    gateStride: number,
    up: Floats,
    upOffset: number,
    upStride: number,
    y: Floats,
    rows: number,
    cols: number,
  ) => void
  /** dgate and dup lie in their buffers as gate and up do, and may be gate and up. */
  readonly swiglu_backward: (
    gate: Floats,
    gateOffset: number,
    gateStride: number,
    up: Floats,
    upOffset: number,
    upStride: number,
    dy: Floats,
    dgate: Floats,
    dup: Floats,
    rows: number,
    cols: number,
  ) => void
}

export const swigluReference: SwigluKernels = {
  swiglu(gate, gateOffset, gateStride, up, upOffset, upStride, y, rows, cols) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        const x = gate[gateOffset + r * gateStride + c]
        y[r * cols + c] = x * sigmoid(x) * up[upOffset + r * upStride + c]
      }
    }
  },

  swiglu_backward(
    gate,
    gateOffset,
    gateStride,
    up,
    upOffset,
    upStride,
    dy,
    dgate,
    dup,
    rows,
    cols,
  ) {
    for (let r = 0; r < rows; r++) {
      for (let c = 0; c < cols; c++) {
        const g = gateOffset + r * gateStride + c
        const u = upOffset + r * upStride + c
        const x = gate[g]
        const d = dy[r * cols + c]
        dgate[g] = d * up[u] * siluSlope(x)
        dup[u] = d * x * sigmoid(x)
      }
    }
  },
}

export interface SwigluSaved {
  readonly gate: Tensor
  readonly up: Tensor
}

export const swigluOp: Op<
  SwigluKernels,
  readonly [gate: Tensor, up: Tensor],
  object,
  Tensor,
  SwigluSaved
> = /* @__PURE__ */ defineOp({
  name: 'swiglu',
  reference: swigluReference,
  binary,

  forward(context, [gate, up]) {
    if (!sameShape(gate.shape, up.shape)) {
      throw new LowrankError(
        'shape',
        `swiglu: gate is ${formatShape(gate.shape)}, up is ${formatShape(up.shape)} ` +
          '(they must be equal)',
      )
    }
    const y = context.empty(gate.shape)
    const { size } = gate
    const left = context.floats(gate)
    const right = context.floats(up)
    context.kernels.swiglu(left, 0, size, right, 0, size, context.floats(y), 1, size)
    return { y, saved: { gate, up } }
  },

  backward(context, dy, { gate, up }) {
    const { kernels, needs } = context
    const { size } = dy
    const dgate = gradientRoom(context, gate)
    const dup = gradientRoom(context, up)
    kernels.swiglu_backward(
      context.floats(gate),
      0,
      size,
      context.floats(up),
      0,
      size,
      context.floats(dy),
      context.floats(dgate),
      context.floats(dup),
      1,
      size,
    )
    return [needs[0] ? dgate : undefined, needs[1] ? dup : undefined]
  },
})

/**
 * silu(gate)·up, element by element, for gate and up of one shape. Throws a `shape` error.
 *
 * @example
 * ```ts
 * import { swiglu, tensor } from 'lowrank'
 *
 * console.log(swiglu(tensor([100, 0], [2]), tensor([2, 2], [2])).dataSync()) // Float32Array [200, 0]
 * ```
 */
export function swiglu<S extends Shape>(gate: Tensor<S>, up: Tensor<S>): Tensor<S> {
  return swigluOp([gate, up], {}) as Tensor<S>
}

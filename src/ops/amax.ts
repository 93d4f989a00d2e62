// Largest element along any axes: y = max x. The gradient is shared evenly among equals:
// dx = dy / n where x equals y, n the number of such elements in the row, else 0.

import { reductions as binary } from '#kernels/reductions'
import type { Floats } from '../core/backend.ts'
import type { Tensor } from '../core/tensor.ts'
import { type ArgmaxKernels, argmaxReference } from './argmax.ts'
import type { ReductionOptions } from './axes.ts'
import { type GatherKernels, gatherReference } from './gather.ts'
import { defineRowReduction, type RowReductionOp } from './row_reduction.ts'

export interface AmaxKernels extends ArgmaxKernels, GatherKernels {
  readonly amax_backward: (
    x: Floats,
    y: Floats,
    dy: Floats,
    dx: Floats,
    rows: number,
    cols: number,
  ) => void
}

const backwardReference: Pick<AmaxKernels, 'amax_backward'> = {
  amax_backward(x, y, dy, dx, rows, cols) {
    for (let r = 0; r < rows; r++) {
      let ties = 0
      for (let c = 0; c < cols; c++) {
        ties += x[r * cols + c] === y[r] ? 1 : 0
      }
      for (let c = 0; c < cols; c++) {
        dx[r * cols + c] = x[r * cols + c] === y[r] ? dy[r] / ties : 0
      }
    }
  },
}

export const amaxReference: AmaxKernels = /* @__PURE__ */ Object.assign(
  {},
  argmaxReference,
  gatherReference,
  backwardReference,
)

/** Largest elements, or smallest ones for sign −1. */
function defineExtreme(name: string, sign: number): RowReductionOp<AmaxKernels> {
  return defineRowReduction<AmaxKernels>({
    name,
    reference: amaxReference,
    binary,
    refusesEmpty: true,

    forward(context, x, y, { rows, cols }) {
      const { argmax, gather } = context.kernels
      // Positions in a buffer of 32-bit words: the largest element itself is then read, NaN or not.
      const index = context.temporary(rows)
      argmax(x, index, rows, cols, sign)
      gather(x, index, y, rows, cols, 1, 1)
    },

    backward({ kernels }, { x, y, dy, dx }, { rows, cols }) {
      kernels.amax_backward(x, y, dy, dx, rows, cols)
    },
  })
}

export const amaxOp: RowReductionOp<AmaxKernels> = /* @__PURE__ */ defineExtreme('amax', 1)

export const aminOp: RowReductionOp<AmaxKernels> = /* @__PURE__ */ defineExtreme('amin', -1)

/**
 * The largest element over `dim` (one axis, a list, or all); equals share the gradient. Throws a
 * `shape` error where there are no elements.
 *
 * @example
 * ```ts
 * import { amax, tensor } from 'lowrank'
 *
 * console.log(amax(tensor([1, 5, 3, 2], [2, 2]), { dim: 1 }).dataSync()) // Float32Array [5, 3]
 * ```
 */
export function amax(x: Tensor, options: ReductionOptions = {}): Tensor {
  return amaxOp([x], options)
}

/** The smallest element over `dim`; see `amax`. */
export function amin(x: Tensor, options: ReductionOptions = {}): Tensor {
  return aminOp([x], options)
}

// Running sums along one axis: y[i] = Σ x[j], j ≤ i; dx[j] = Σ dy[i], i ≥ j: the same from the end.

import { reductions as binary } from '#kernels/reductions'
import type { Floats } from '../core/backend.ts'
import type { Tensor } from '../core/tensor.ts'
import { type AxisOptions, defineRowMap, type RowMapOp } from './row_map.ts'

export interface CumsumKernels {
  readonly cumsum: (x: Floats, y: Floats, rows: number, cols: number, reverse: number) => void
}

export const cumsumReference: CumsumKernels = {
  cumsum(x, y, rows, cols, reverse) {
    for (let r = 0; r < rows; r++) {
      let sum = 0
      for (let i = 0; i < cols; i++) {
        const at = r * cols + (reverse ? cols - 1 - i : i)
        sum += x[at]
        y[at] = sum
      }
    }
  },
}

export const cumsumOp: RowMapOp<CumsumKernels> = /* @__PURE__ */ defineRowMap<CumsumKernels>({
  name: 'cumsum',
  reference: cumsumReference,
  binary,

  forward({ kernels }, x, y, { rows, cols }) {
    kernels.cumsum(x, y, rows, cols, 0)
  },

  backward({ kernels }, _y, dy, dx, { rows, cols }) {
    kernels.cumsum(dy, dx, rows, cols, 1)
  },
})

/**
 * The running sums along `dim`, the last axis if absent.
 *
 * @example
 * ```ts
 * import { cumsum, tensor } from 'lowrank'
 *
 * console.log(cumsum(tensor([1, 2, 3], [3])).dataSync()) // Float32Array [1, 3, 6]
 * ```
 */
export function cumsum(x: Tensor, options: AxisOptions = {}): Tensor {
  return cumsumOp([x], options)
}

// transpose: two axes of x exchanged; a permutation (permute.ts).

import { normalizeAxis } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { permuteOp } from './permute.ts'

/**
 * x with two axes exchanged. Throws an `argument` error for an axis that does not exist.
 *
 * @example
 * ```ts
 * import { tensor, transpose } from 'lowrank'
 *
 * console.log(transpose(tensor([1, 2, 3, 4], [2, 2]), 0, 1).dataSync()) // Float32Array [1, 3, 2, 4]
 * ```
 */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const first = normalizeAxis('transpose', dim0, x.shape.length)
  const second = normalizeAxis('transpose', dim1, x.shape.length)
  const order = x.shape.map((_, axis) => axis)
  if (order.length > 0) {
    order[first] = second
    order[second] = first
  }
  return permuteOp([x], { order })
}

// Smallest element along one axis with its position, the first of equals: y = x[index], the gradient
// goes to that one element; without an axis equals share it (amin). The loops are those of max.ts.

import type { Tensor } from '../core/tensor.ts'
import { amin } from './amax.ts'
import { defineExtreme, type Extreme, type ExtremeOp, type ExtremeOptions } from './max.ts'

export const minOp: ExtremeOp = /* @__PURE__ */ defineExtreme('min', -1)

/**
 * The smallest elements along `dim` and where they are, the first of equals; without `dim`, the
 * smallest of all. Throws a `shape` error where there are no elements.
 *
 * @example
 * ```ts
 * import { min, tensor } from 'lowrank'
 *
 * const { values, indices } = min(tensor([1, 5, 3, 2], [2, 2]), { dim: 1 })
 * console.log(values.dataSync(), indices.dataSync()) // Float32Array [1, 2] Int32Array [0, 1]
 * ```
 */
export function min(x: Tensor): Tensor
export function min(x: Tensor, options: ExtremeOptions): Extreme
export function min(x: Tensor, options?: ExtremeOptions): Tensor | Extreme {
  if (!options) {
    return amin(x)
  }
  const [values, indices] = minOp([x], options)
  return { values, indices }
}

// y = max(a, b), NaN where one is NaN, broadcast; da = dy where a is the larger, dy / 2 where both are
// equal, db likewise, each summed to the shape of its operand.

import { arithmetic as binary } from '#kernels/arithmetic'
import { type BinaryOp, type Broadcast, callBinary, defineBinary, type Operand } from './binary.ts'
import type { BroadcastKernel } from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export interface MaximumKernels extends SumKernels {
  readonly maximum: BroadcastKernel
  readonly maximum_backward: BroadcastKernel
}

/** dy where a > b, half of it where a = b. */
function share(dy: number, a: number, b: number): number {
  return a > b ? dy : a === b ? dy / 2 : 0
}

export const maximumOp: BinaryOp<MaximumKernels> = /* @__PURE__ */ defineBinary<MaximumKernels>({
  name: 'maximum',
  binary,
  formulas: {
    maximum: (a, b) => Math.max(a, b),
    maximum_backward: share,
  },
  kernel: kernels => kernels.maximum,
  da: {
    reads: 'both',
    of: ({ apply, kernels }, dy, a, b) => apply(kernels.maximum_backward, dy, a, b),
  },
  db: {
    reads: 'both',
    of: ({ apply, kernels }, dy, a, b) => apply(kernels.maximum_backward, dy, b, a),
  },
})

/**
 * The larger of a and b, element by element, broadcast by NumPy's rule; equal ones share the gradient.
 * A number may stand for either. Throws a `shape` error where they do not broadcast.
 *
 * @example
 * ```ts
 * import { maximum, tensor } from 'lowrank'
 *
 * console.log(maximum(tensor([1, 3], [2]), 2).dataSync()) // Float32Array [2, 3]
 * ```
 */
export function maximum<A extends Operand, B extends Operand>(a: A, b: B): Broadcast<A, B> {
  return callBinary(maximumOp, a, b)
}

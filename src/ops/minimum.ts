// y = min(a, b), NaN where one is NaN, broadcast; da = dy where a is the smaller, dy / 2 where both are
// equal, db likewise, each summed to the shape of its operand.

import { arithmetic as binary } from '#kernels/arithmetic'
import { type BinaryOp, type Broadcast, callBinary, defineBinary, type Operand } from './binary.ts'
import type { BroadcastKernel } from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export interface MinimumKernels extends SumKernels {
  readonly minimum: BroadcastKernel
  readonly minimum_backward: BroadcastKernel
}

/** dy where a < b, half of it where a = b. */
function share(dy: number, a: number, b: number): number {
  return a < b ? dy : a === b ? dy / 2 : 0
}

export const minimumOp: BinaryOp<MinimumKernels> = /* @__PURE__ */ defineBinary<MinimumKernels>({
  name: 'minimum',
  binary,
  formulas: {
    minimum: (a, b) => Math.min(a, b),
    minimum_backward: share,
  },
  kernel: kernels => kernels.minimum,
  da: {
    reads: 'both',
    of: ({ apply, kernels }, dy, a, b) => apply(kernels.minimum_backward, dy, a, b),
  },
  db: {
    reads: 'both',
    of: ({ apply, kernels }, dy, a, b) => apply(kernels.minimum_backward, dy, b, a),
  },
})

/**
 * The smaller of a and b, element by element, broadcast by NumPy's rule; equal ones share the gradient.
 * A number may stand for either. Throws a `shape` error where they do not broadcast.
 *
 * @example
 * ```ts
 * import { minimum, tensor } from 'lowrank'
 *
 * console.log(minimum(tensor([1, 3], [2]), 2).dataSync()) // Float32Array [1, 2]
 * ```
 */
export function minimum<A extends Operand, B extends Operand>(a: A, b: B): Broadcast<A, B> {
  return callBinary(minimumOp, a, b)
}

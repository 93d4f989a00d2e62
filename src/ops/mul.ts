// y = a b, broadcast; da = dy b, db = dy a, each summed to the shape of its operand.

import { arithmetic as binary } from '#kernels/arithmetic'
import { type BinaryOp, type Broadcast, callBinary, defineBinary, type Operand } from './binary.ts'
import type { BroadcastKernel } from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export interface MulKernels extends SumKernels {
  readonly mul: BroadcastKernel
}

export const mulOp: BinaryOp<MulKernels> = /* @__PURE__ */ defineBinary<MulKernels>({
  name: 'mul',
  binary,
  formulas: { mul: (a, b) => a * b },
  kernel: kernels => kernels.mul,
  da: { reads: 'b', of: ({ apply, kernels }, dy, _a, b) => apply(kernels.mul, dy, b) },
  db: { reads: 'a', of: ({ apply, kernels }, dy, a) => apply(kernels.mul, dy, a) },
})

/**
 * a b, element by element, broadcast by NumPy's rule. A number may stand for
 * either. Throws a `shape` error where they do not broadcast.
 *
 * @example
 * ```ts
 * import { mul, tensor } from 'lowrank'
 *
 * console.log(mul(tensor([1, 2], [2]), 3).dataSync()) // Float32Array [3, 6]
 * ```
 */
export function mul<A extends Operand, B extends Operand>(a: A, b: B): Broadcast<A, B> {
  return callBinary(mulOp, a, b)
}

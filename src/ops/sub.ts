// y = a − b, broadcast; da = dy, db = −dy, each summed to the shape of its operand.

import { arithmetic as binary } from '#kernels/arithmetic'
import { type BinaryOp, type Broadcast, callBinary, defineBinary, type Operand } from './binary.ts'
import type { BroadcastKernel } from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export interface SubKernels extends SumKernels {
  readonly sub: BroadcastKernel
}

export const subOp: BinaryOp<SubKernels> = /* @__PURE__ */ defineBinary<SubKernels>({
  name: 'sub',
  binary,
  formulas: { sub: (a, b) => a - b },
  kernel: kernels => kernels.sub,
  da: { reads: 'none', of: (_rule, dy) => dy },
  db: {
    reads: 'none',
    of: ({ apply, context, kernels }, dy) => apply(kernels.sub, context.filled([], 0), dy),
  },
})

/**
 * a − b, element by element, broadcast by NumPy's rule. A number may stand for
 * either. Throws a `shape` error where they do not broadcast.
 *
 * @example
 * ```ts
 * import { sub, tensor } from 'lowrank'
 *
 * console.log(sub(1, tensor([1, 2], [2])).dataSync()) // Float32Array [0, -1]
 * ```
 */
export function sub<A extends Operand, B extends Operand>(a: A, b: B): Broadcast<A, B> {
  return callBinary(subOp, a, b)
}

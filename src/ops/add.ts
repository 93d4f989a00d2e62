// y = a + b, broadcast; da = dy, db = dy, each summed to the shape of its operand.

import { arithmetic as binary } from '#kernels/arithmetic'
import { type BinaryOp, type Broadcast, callBinary, defineBinary, type Operand } from './binary.ts'
import type { BroadcastKernel } from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export interface AddKernels extends SumKernels {
  readonly add: BroadcastKernel
}

export const addOp: BinaryOp<AddKernels> = /* @__PURE__ */ defineBinary<AddKernels>({
  name: 'add',
  binary,
  formulas: { add: (a, b) => a + b },
  kernel: kernels => kernels.add,
  da: { reads: 'none', of: (_rule, dy) => dy },
  db: { reads: 'none', of: (_rule, dy) => dy },
})

/**
 * a + b, element by element, broadcast by NumPy's rule. A number may stand for
 * either. Throws a `shape` error where they do not broadcast.
 *
 * @example
 * ```ts
 * import { add, tensor } from 'lowrank'
 *
 * console.log(add(tensor([1, 2], [2]), 3).dataSync()) // Float32Array [4, 5]
 * ```
 */
export function add<A extends Operand, B extends Operand>(a: A, b: B): Broadcast<A, B> {
  return callBinary(addOp, a, b)
}

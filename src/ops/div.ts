// y = a / b, broadcast; da = dy / b, db = −dy a / b², each summed to the shape of its operand.

import { arithmetic as binary } from '#kernels/arithmetic'
import { type BinaryOp, type Broadcast, callBinary, defineBinary, type Operand } from './binary.ts'
import type { BroadcastKernel } from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export interface DivKernels extends SumKernels {
  readonly div: BroadcastKernel
  readonly div_backward_b: BroadcastKernel
}

export const divOp: BinaryOp<DivKernels> = /* @__PURE__ */ defineBinary<DivKernels>({
  name: 'div',
  binary,
  formulas: {
    div: (a, b) => a / b,
    div_backward_b: (dy, a, b) => -(dy / b) * (a / b),
  },
  kernel: kernels => kernels.div,
  da: { reads: 'b', of: ({ apply, kernels }, dy, _a, b) => apply(kernels.div, dy, b) },
  db: {
    reads: 'both',
    of: ({ apply, kernels }, dy, a, b) => apply(kernels.div_backward_b, dy, a, b),
  },
})

/**
 * a / b, element by element, broadcast by NumPy's rule. A number may stand for
 * either. Throws a `shape` error where they do not broadcast.
 *
 * @example
 * ```ts
 * import { div, tensor } from 'lowrank'
 *
 * console.log(div(tensor([1, 3], [2]), 2).dataSync()) // Float32Array [0.5, 1.5]
 * ```
 */
export function div<A extends Operand, B extends Operand>(a: A, b: B): Broadcast<A, B> {
  return callBinary(divOp, a, b)
}

// y = a^b, broadcast; da = dy b a^(b−1), 0 where b = 0; db = dy y log a, 0 where a = 0 and b ≥ 0; each
// summed to the shape of its operand.

import { elementwise as binary } from '#kernels/elementwise'
import { log, pow as power } from '../core/math.ts'
import { type BinaryOp, type Broadcast, callBinary, defineBinary, type Operand } from './binary.ts'
import type { BroadcastKernel } from './broadcast.ts'
import type { SumKernels } from './sum.ts'

export interface PowKernels extends SumKernels {
  readonly pow: BroadcastKernel
  readonly pow_backward_a: BroadcastKernel
  readonly pow_backward_b: BroadcastKernel
}

/** One to any power is one, NaN included, as in C and on the other backends: not so in ECMAScript. */
function raised(a: number, b: number): number {
  const isOne = a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY)
  return isOne ? 1 : power(a, b)
}

function slopeInA(a: number, b: number): number {
  return b === 0 ? 0 : b * power(a, b - 1)
}

function slopeInB(a: number, b: number): number {
  return a === 0 && b >= 0 ? 0 : power(a, b) * log(a)
}

export const powOp: BinaryOp<PowKernels> = /* @__PURE__ */ defineBinary<PowKernels>({
  name: 'pow',
  binary,
  formulas: {
    pow: raised,
    pow_backward_a: (dy, a, b) => dy * slopeInA(a, b),
    pow_backward_b: (dy, a, b) => dy * slopeInB(a, b),
  },
  kernel: kernels => kernels.pow,
  da: {
    reads: 'both',
    of: ({ apply, kernels }, dy, a, b) => apply(kernels.pow_backward_a, dy, a, b),
  },
  db: {
    reads: 'both',
    of: ({ apply, kernels }, dy, a, b) => apply(kernels.pow_backward_b, dy, a, b),
  },
})

/**
 * a^b, element by element, broadcast by NumPy's rule; NaN where −∞ < a < 0 and b is finite and no whole
 * number, and at infinities as C's `pow`, so that −∞ to 0.5 is ∞. A number may stand for either. Throws a
 * `shape` error where they do not broadcast.
 *
 * @example
 * ```ts
 * import { pow, tensor } from 'lowrank'
 *
 * console.log(pow(tensor([2, 3], [2]), 2).dataSync()) // Float32Array [4, 9]
 * ```
 */
export function pow<A extends Operand, B extends Operand>(a: A, b: B): Broadcast<A, B> {
  return callBinary(powOp, a, b)
}

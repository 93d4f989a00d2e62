// Dropout: y = x · m / (1 − p), m random 0 or 1 with P(0) = p (Srivastava et al. 2014, JMLR 15).
// dx = dy · m / (1 − p). Element i uses word i mod 4 of Philox block i / 4 of the call's stream, so the
// mask is the same on every backend and is drawn again in backward instead of being kept.

import type { Floats } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, isRecording, type Op, type OpContext } from '../core/op.ts'
import { type Draw, nextDraw } from '../core/random_state.ts'
import { philox } from '../core/rng.ts'
import type { Tensor } from '../core/tensor.ts'

export interface DropoutKernels {
  /** Elements whose random word is below `threshold` become 0, the others are multiplied. */
  dropout(
    x: Floats,
    y: Floats,
    seedLow: number,
    seedHigh: number,
    stream: number,
    threshold: number,
    scale: number,
    n: number,
  ): void
}

const TWO_32 = 0x100000000

export const dropoutReference: DropoutKernels = {
  dropout(x, y, seedLow, seedHigh, stream, threshold, scale, n) {
    const words = new Uint32Array(4)
    for (let i = 0; i < n; i++) {
      if (i % 4 === 0) {
        philox(words, i / 4, 0, stream, 0, seedLow, seedHigh)
      }
      y[i] = words[i % 4] >= threshold ? x[i] * scale : 0
    }
  },
}

/** Which elements one call drops. */
export interface DropoutMask extends Draw {
  readonly p: number
}

/** Runs the kernel for a mask on n elements of x. */
export function applyDropout(
  kernels: DropoutKernels,
  x: Floats,
  y: Floats,
  n: number,
  { p, seed, stream }: DropoutMask,
): void {
  const [low, high] = [seed % TWO_32, Math.floor(seed / TWO_32)]
  // With p = 1 the one word that no threshold excludes is multiplied by 0.
  const threshold = Math.min(Math.floor(p * TWO_32), TWO_32 - 1)
  const scale = p < 1 ? 1 / (1 - p) : 0
  kernels.dropout(x, y, low, high, stream, threshold, scale, n)
}

function masked(context: OpContext<DropoutKernels>, x: Tensor, mask: DropoutMask): Tensor {
  const y = context.empty(x.shape)
  applyDropout(context.kernels, context.floats(x), context.floats(y), x.size, mask)
  return y
}

export const dropoutOp: Op<DropoutKernels, readonly [x: Tensor], DropoutMask, Tensor, DropoutMask> =
  /* @__PURE__ */ defineOp({
    name: 'dropout',
    reference: dropoutReference,

    forward(context, [x], mask) {
      return { y: masked(context, x, mask), saved: mask }
    },

    backward(context, dy, mask) {
      return [masked(context, dy, mask)]
    },
  })

/**
 * Sets each element of x to 0 with probability p and scales the others by 1 / (1 − p), while a step
 * records; the identity at any other time. Throws an `argument` error unless 0 ≤ p ≤ 1.
 *
 * @example
 * ```ts
 * import { dropout, tensor } from 'lowrank'
 *
 * const x = tensor([1, 2, 3], [3])
 * console.log(dropout(x, 0.5).dataSync()) // Float32Array [1, 2, 3]
 * ```
 */
export function dropout(x: Tensor, p: number): Tensor {
  if (!(p >= 0 && p <= 1)) {
    throw new LowrankError('argument', `dropout: expected p in [0, 1], got ${p}`)
  }
  return p === 0 || !isRecording() ? x : dropoutOp([x], { p, ...nextDraw() })
}

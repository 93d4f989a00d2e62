// Rotary position embedding (Su et al. 2021, arXiv 2104.09864), in the rotate-half convention: each
// pair (x[i], x[i + half]) of a head of x [B, T, H, D] turns by the angle of its position,
//
//   y[i] = x[i]·cos − x[i + half]·sin      y[i + half] = x[i + half]·cos + x[i]·sin
//
// for i < half, with tables cos, sin [P, half]; what lies beyond 2·half is left as it is, as in
// GPT-NeoX (arXiv 2204.06745). dx is dy turned back: the same with −sin.

import { transformer as binary } from '#kernels/transformer'
import type { Floats, Ints } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import type { Tensor } from '../core/tensor.ts'
import { checkIndices } from './indices.ts'

export interface RopeKernels {
  /** Turns by +angle with sign 1 and back with sign −1. */
  rope(
    x: Floats,
    cos: Floats,
    sin: Floats,
    positions: Ints,
    hasPositions: number,
    offset: number,
    y: Floats,
    B: number,
    T: number,
    H: number,
    D: number,
    half: number,
    sign: number,
  ): void
}

export const ropeReference: RopeKernels = {
  rope(x, cos, sin, positions, hasPositions, offset, y, B, T, H, D, half, sign) {
    for (let row = 0; row < B * T; row++) {
      const position = hasPositions ? positions[row] : offset + (row % T)
      for (let h = 0; h < H; h++) {
        for (let i = 0; i < half; i++) {
          const at = (row * H + h) * D + i
          const c = cos[position * half + i]
          const s = sign * sin[position * half + i]
          y[at] = x[at] * c - x[at + half] * s
          y[at + half] = x[at + half] * c + x[at] * s
        }
        for (let i = 2 * half; i < D; i++) {
          y[(row * H + h) * D + i] = x[(row * H + h) * D + i]
        }
      }
    }
  },
}

export interface RopeOptions {
  /** The position of every token, int32 [B, T]. */
  readonly positions?: Tensor
  /** Without `positions`: the position of column 0; 0 if absent. */
  readonly offset?: number
}

interface Saved {
  readonly cos: Tensor
  readonly sin: Tensor
  readonly positions: Tensor | undefined
  readonly offset: number
}

function rotated(context: OpContext<RopeKernels>, x: Tensor, saved: Saved, sign: number): Tensor {
  const { B, T, H, D } = dims('rope', x, 'B T H D')
  const { cos, sin, positions, offset } = saved
  const half = cos.shape[1]
  const y = context.empty(x.shape)
  const [from, to] = [context.floats(x), context.floats(y)]
  const [c, s] = [context.floats(cos), context.floats(sin)]
  // Without positions the kernel does not look at the operand.
  const at = positions ? context.ints(positions) : c
  context.kernels.rope(from, c, s, at, positions ? 1 : 0, offset, to, B, T, H, D, half, sign)
  return y
}

export const ropeOp: Op<
  RopeKernels,
  readonly [x: Tensor, cos: Tensor, sin: Tensor],
  RopeOptions,
  Tensor,
  Saved
> = /* @__PURE__ */ defineOp({
  name: 'rope',
  binary,
  reference: ropeReference,

  forward(context, [x, cos, sin], { positions, offset = 0 }) {
    const saved = { cos, sin, positions, offset }
    return { y: rotated(context, x, saved, 1), saved }
  },

  backward(context, dy, saved) {
    return [rotated(context, dy, saved, -1), undefined, undefined]
  },
})

/**
 * Turns the first 2·half elements of the heads of x [B, T, H, D] by their positions, with tables cos
 * and sin [P, half] (see `RopeTables`). Throws `shape` errors, and an `argument` error for a position
 * beyond the tables.
 *
 * @example
 * ```ts
 * import { rope, tensor } from 'lowrank'
 *
 * const x = tensor([1, 0], [1, 1, 1, 2])
 * const y = rope(x, tensor([0], [1, 1]), tensor([1], [1, 1]))
 * console.log(y.dataSync()) // Float32Array [0, 1]
 * ```
 */
export function rope(x: Tensor, cos: Tensor, sin: Tensor, options: RopeOptions = {}): Tensor {
  const { B, T, D } = dims('rope', x, 'B T H D')
  const { P, half } = dims('rope: cos', cos, 'P half')
  dims('rope: sin', sin, 'P half', { P, half })
  if (2 * half > D) {
    throw new LowrankError(
      'shape',
      `rope: expected tables of at most ${D / 2} columns for heads of ${D}, got ${half}`,
    )
  }
  const { positions, offset = 0 } = options
  if (positions) {
    dims('rope: positions', positions, 'B T', { B, T })
    checkIndices('rope: positions', positions, P)
  } else if (!(Number.isInteger(offset) && offset >= 0 && offset + T <= P)) {
    throw new LowrankError(
      'argument',
      `rope: expected positions below ${P}, the length of the tables, got ${offset} to ${offset + T - 1}`,
    )
  }
  return ropeOp([x, cos, sin], options)
}

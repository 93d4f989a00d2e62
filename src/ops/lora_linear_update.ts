// One low-rank update of a linear layer, forward and backward, for some entries of the batch or all
// (lora_linear.ts has the formulas): u = d(x)·Aᵀ, y += s·(u·Bᵀ + c), and
//
//   dv = s·dy·B    dx += d(dv·A)    dA = dvᵀ·d(x)    dB = s·dyᵀ·u    dc = s·Σ dy

import type { Floats } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import type { OpContext } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { applyDropout, type DropoutKernels, type DropoutMask } from './dropout.ts'
import type { LinearKernels } from './linear_reference.ts'
import { MATMUL_SCRATCH, type MatmulKernel, type MatmulKernels } from './matmul.ts'

/** Entries `start` up to, but without, `end` of the first axis of x. */
export type RowRange = readonly [start: number, end: number]

export interface UpdateOptions {
  /** What the update is multiplied by. */
  readonly scale: number
  /** Drops elements of the update's input with probability p. */
  readonly dropout?: DropoutMask
  /** The part of the batch that the update is for; all of it if absent. */
  readonly rows?: readonly RowRange[]
}

/** One low-rank update: A [R, I], B [O, R], perhaps the bias [O] of B. */
export interface LowRank extends UpdateOptions {
  readonly A: Tensor
  readonly B: Tensor
  readonly bias?: Tensor
}

export interface Kernels extends MatmulKernels, LinearKernels, DropoutKernels {
  accumulate(x: Floats, y: Floats, n: number): void
}

/** What backward needs of one update. */
export interface SavedUpdate extends UpdateOptions {
  readonly A: Tensor
  readonly B: Tensor
  readonly u: Tensor
  readonly ranges: readonly RowRange[]
}

/** A matrix operand that is part of a buffer. */
export interface Part {
  readonly buffer: Floats
  readonly offset: number
  readonly stride: number
}

export const part = (buffer: Floats, stride: number, row = 0): Part => ({
  buffer,
  offset: row * stride,
  stride,
})

/** One call of the op: sizes, and products of float32 parts. */
export class Call {
  readonly context: OpContext<Kernels>
  readonly rows: number
  readonly I: number
  readonly O: number
  #ones: Floats | undefined

  constructor(context: OpContext<Kernels>, sizes: { rows: number; I: number; O: number }) {
    this.context = context
    this.rows = sizes.rows
    this.I = sizes.I
    this.O = sizes.O
  }

  multiply(
    kernel: MatmulKernel,
    a: Part,
    b: Part & { readonly format?: number },
    c: Part,
    [M, N, K]: readonly [number, number, number],
    alpha = 1,
    accumulate = false,
  ): void {
    const scratch = this.context.scratch(MATMUL_SCRATCH)
    kernel(
      a.buffer,
      a.offset,
      a.stride,
      b.buffer,
      b.offset,
      b.stride,
      b.format ?? 0,
      c.buffer,
      c.offset,
      c.stride,
      M,
      N,
      K,
      alpha,
      accumulate ? 1 : 0,
      scratch,
    )
  }

  /** A column of ones, as long as there are rows. */
  get ones(): Part {
    if (this.#ones === undefined) {
      this.#ones = this.context.floats(this.context.filled([Math.max(this.rows, 1)], 1))
    }
    return part(this.#ones, 1)
  }

  /** The input of an update: x itself, or x with elements dropped. */
  source(x: Tensor, { dropout }: UpdateOptions): Floats {
    const buffer = this.context.floats(x)
    return dropout ? this.dropped(buffer, x.size, dropout) : buffer
  }

  dropped(x: Floats, n: number, mask: DropoutMask): Floats {
    const y = this.context.temporary(n)
    applyDropout(this.context.kernels, x, y, n, mask)
    return y
  }
}

/** Calls `fn` with each range and the row of u where its rows begin. */
function forRanges(
  ranges: readonly RowRange[],
  fn: (start: number, count: number, at: number, first: boolean) => void,
): void {
  let at = 0
  ranges.forEach(([start, end], i) => {
    fn(start, end - start, at, i === 0)
    at += end - start
  })
}

/** The rows of x as a matrix, instead of entries of its first axis; a vector is one entry. */
function rangesOf(x: Tensor, rows: number, parts: readonly RowRange[]): RowRange[] {
  const entries = x.shape.length > 1 ? x.shape[0] : 1
  const height = rows / Math.max(entries, 1)
  return parts.map(([start, end]) => {
    const integers = Number.isInteger(start) && Number.isInteger(end)
    if (!integers || start < 0 || end < start || end > entries) {
      throw new LowrankError(
        'argument',
        `loraLinear: expected rows within the batch of ${entries}, got ${start} to ${end}`,
      )
    }
    return [start * height, end * height]
  })
}

export function forwardUpdate(call: Call, x: Tensor, y: Floats, update: LowRank): SavedUpdate {
  const { context, rows, I, O } = call
  const { A, B, bias, scale } = update
  const R = A.shape[0]
  const ranges = update.rows ? rangesOf(x, rows, update.rows) : [[0, rows] as const]
  const total = ranges.reduce((sum, [start, end]) => sum + end - start, 0)
  const u = context.empty([total, R])
  const { matmul_nt, matmul_nn } = context.kernels
  const [a, b, source, target] = [
    part(context.floats(A), I),
    part(context.floats(B), R),
    call.source(x, update),
    context.floats(u),
  ]
  forRanges(ranges, (start, count, at) => {
    const own = part(target, R, at)
    const out = part(y, O, start)
    call.multiply(matmul_nt, part(source, I, start), a, own, [count, R, I])
    call.multiply(matmul_nt, own, b, out, [count, O, R], scale, true)
    if (bias) {
      const c = part(context.floats(bias), O)
      call.multiply(matmul_nn, call.ones, c, out, [count, O, 1], scale, true)
    }
  })
  const { dropout } = update
  return { A, B, u, scale, dropout, ranges }
}

/** Adds d(dv·A) to dx. */
function backwardInput(call: Call, update: SavedUpdate, dv: Floats, dx: Floats): void {
  const { context, I, rows } = call
  const { A, ranges, dropout } = update
  const R = A.shape[0]
  const through = dropout ? context.floats(context.filled([rows, I], 0)) : dx
  forRanges(ranges, (start, count, at) => {
    const a = part(context.floats(A), I)
    const out = part(through, I, start)
    call.multiply(context.kernels.matmul_nn, part(dv, R, at), a, out, [count, I, R], 1, true)
  })
  if (dropout) {
    const masked = call.dropped(through, rows * I, dropout)
    context.kernels.accumulate(masked, dx, rows * I)
  }
}

/** A gradient that is a sum over ranges; zero where there are none. */
function summed(call: Call, shape: Shape, ranges: readonly RowRange[]): Tensor {
  return ranges.length > 0 ? call.context.empty(shape) : call.context.filled(shape, 0)
}

export function backwardUpdate(
  call: Call,
  dy: Floats,
  x: Tensor | undefined,
  dx: Floats | undefined,
  update: SavedUpdate,
  needs: readonly boolean[],
): (Tensor | undefined)[] {
  const { context, I, O } = call
  const { A, B, u, scale, ranges } = update
  const { matmul_nn, matmul_tn } = context.kernels
  const R = A.shape[0]
  const [needsA, needsB, needsC] = needs
  const dA = needsA ? summed(call, A.shape, ranges) : undefined
  const dB = needsB ? summed(call, B.shape, ranges) : undefined
  const dc = needsC ? summed(call, [O], ranges) : undefined
  const dv = context.temporary(u.size)
  if (dA || dx) {
    forRanges(ranges, (start, count, at) => {
      const b = part(context.floats(B), R)
      const own = part(dv, R, at)
      call.multiply(matmul_nn, part(dy, O, start), b, own, [count, R, O], scale)
    })
  }
  if (dx) {
    backwardInput(call, update, dv, dx)
  }
  const source = dA && x && call.source(x, update)
  forRanges(ranges, (start, count, at, first) => {
    const upstream = part(dy, O, start)
    if (dA && source) {
      const out = part(context.floats(dA), I)
      const input = part(source, I, start)
      call.multiply(matmul_tn, part(dv, R, at), input, out, [R, I, count], 1, !first)
    }
    if (dB) {
      const own = part(context.floats(u), R, at)
      const out = part(context.floats(dB), R)
      call.multiply(matmul_tn, upstream, own, out, [O, R, count], scale, !first)
    }
    if (dc) {
      const out = part(context.floats(dc), 1)
      call.multiply(matmul_tn, upstream, call.ones, out, [O, 1, count], scale, !first)
    }
  })
  return [dA, dB, dc]
}

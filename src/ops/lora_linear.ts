// A linear layer under any number of low-rank updates, as one op (Hu et al. 2021, arXiv 2106.09685,
// equation 3). x [..., I], W [O, I], b [O]; for each update A [R, I], B [O, R], c [O], s = alpha / r:
//
//   y = x·Wᵀ + b + Σ s·(u·Bᵀ + c),  u = d(x)·Aᵀ            d: dropout, where the update has one
//
//   dv = s·dy·B    dx = dy·W + Σ d(dv·A)    dA = dvᵀ·d(x)    dB = s·dyᵀ·u    dc = s·Σ dy
//
// B·A is never formed; dy·B is formed once for dx and dA; kept for backward are x and u, nothing of
// the size of W or y. W is read in its stored dtype; it may be stored as [I, O], or absent: then y is
// the updates alone. An update may be for some rows of x only, so that each row of a batch can have an
// adapter of its own. A bias is a product with a column of ones.

import type { Floats } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { defineOp, type Gradients, type Op, type OpContext } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { applyDropout, type DropoutKernels, type DropoutMask, dropoutReference } from './dropout.ts'
import { type LinearKernels, linearReference } from './linear_reference.ts'
import { MATMUL_SCRATCH, type MatmulKernel, type MatmulKernels, matmulReference } from './matmul.ts'

/** Entries `start` up to, but without, `end` of the first axis of x. */
export type RowRange = readonly [start: number, end: number]

interface UpdateOptions {
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

interface Kernels extends MatmulKernels, LinearKernels, DropoutKernels {
  accumulate(x: Floats, y: Floats, n: number): void
}

/** What backward needs of one update. */
interface SavedUpdate extends UpdateOptions {
  readonly A: Tensor
  readonly B: Tensor
  readonly u: Tensor
  readonly hasBias: boolean
  readonly ranges: readonly RowRange[]
}

interface LayerOptions {
  readonly updates: readonly UpdateOptions[]
  /** Whether W is stored as [I, O]. */
  readonly transposed?: boolean
}

interface Saved {
  readonly x: Tensor | undefined
  readonly weight: Tensor | undefined
  readonly transposed: boolean
  readonly xShape: Shape
  /** The tensors of `updates`, where the tape looks for what it has to hold. */
  readonly held: readonly Tensor[]
  readonly updates: readonly SavedUpdate[]
}

type Inputs = readonly (Tensor | undefined)[]

/** x, weight and bias come first, then A, B and bias of each update. */
const FIRST = 3
const PER_UPDATE = 3

/** A matrix operand that is part of a buffer. */
interface Part {
  readonly buffer: Floats
  readonly offset: number
  readonly stride: number
}

const part = (buffer: Floats, stride: number, row = 0): Part => ({
  buffer,
  offset: row * stride,
  stride,
})

/** One call of the op: sizes, and products of float32 parts. */
class Call {
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
    const [add, format] = [accumulate ? 1 : 0, b.format ?? 0]
    kernel(
      ...([a.buffer, a.offset, a.stride, b.buffer, b.offset, b.stride, format] as const),
      ...([c.buffer, c.offset, c.stride, M, N, K, alpha, add, scratch] as const),
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

function forwardUpdate(call: Call, x: Tensor, y: Floats, update: LowRank): SavedUpdate {
  const { context, rows, I, O } = call
  const { A, B, bias, scale } = update
  const { R } = dims('loraLinear: A', A, 'R I', { I })
  dims('loraLinear: B', B, 'O R', { O, R })
  // Rows of x as a matrix for each entry of its first axis.
  const height = rows / x.shape[0]
  const ranges = update.rows?.map(([start, end]): RowRange => [start * height, end * height]) ?? [
    [0, rows],
  ]
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
  return { A, B, u, scale, dropout, ranges, hasBias: bias !== undefined }
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

function backwardUpdate(
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
  const source = dA && x ? call.source(x, update) : undefined
  forRanges(ranges, (start, count, at, first) => {
    const upstream = part(dy, O, start)
    if (dA && source !== undefined) {
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
  return update.hasBias ? [dA, dB, dc] : [dA, dB, undefined]
}

function updatesOf(inputs: Inputs, options: readonly UpdateOptions[]): LowRank[] {
  return options.map((update, i) => {
    const at = FIRST + PER_UPDATE * i
    const [A, B, bias] = inputs.slice(at, at + PER_UPDATE)
    return { ...update, A: A as Tensor, B: B as Tensor, bias }
  })
}

/** W as a matrix operand; only one that is stored as [O, I] goes into the backend's own layout. */
function weightPart(call: Call, weight: Tensor, transposed: boolean): Part & { format: number } {
  const stride = transposed ? call.O : call.I
  return { ...call.context.matrix(weight, !transposed), offset: 0, stride }
}

/** dW = dyᵀ·x, or xᵀ·dy for a W that is stored as [I, O]. */
function weightGradient(call: Call, dy: Part, x: Part, transposed: boolean): Tensor {
  const { context, rows, I, O } = call
  const [M, N] = transposed ? [I, O] : [O, I]
  const dW = context.empty([M, N])
  const [a, b] = transposed ? [x, dy] : [dy, x]
  call.multiply(context.kernels.matmul_tn, a, b, part(context.floats(dW), N), [M, N, rows])
  return dW
}

/** Room for dx, which the updates are added to. */
function inputGradient(
  context: OpContext<Kernels>,
  shape: Shape,
  weight: Tensor | undefined,
): Tensor {
  return weight ? context.empty(shape) : context.filled(shape, 0)
}

/** The outputs of the layer: those of W, or of B where there is no W. */
function outputsOf(
  weight: Tensor | undefined,
  inputs: Inputs,
  options: LayerOptions,
  I: number,
): number {
  if (weight) {
    return dims('loraLinear: weight', weight, options.transposed ? 'I O' : 'O I', { I }).O
  }
  return dims('loraLinear: B', inputs[FIRST + 1] as Tensor, 'O R').O
}

export const loraLinearOp: Op<Kernels, Inputs, LayerOptions, Tensor, Saved> =
  /* @__PURE__ */ defineOp({
    name: 'lora_linear',
    reference: {
      ...matmulReference,
      ...linearReference,
      ...dropoutReference,
      accumulate(x, y, n) {
        for (let i = 0; i < n; i++) {
          y[i] += x[i]
        }
      },
    },

    forward(context, inputs, options) {
      const [x, weight, bias] = inputs as readonly [Tensor, ...Inputs]
      const transposed = options.transposed ?? false
      const { rows, I } = dims('loraLinear: x', x, '...rows I')
      const O = outputsOf(weight, inputs, options, I)
      const call = new Call(context, { rows, I, O })
      const { kernels, needs } = context
      const shape = [...x.shape.slice(0, -1), O]
      const y = weight || bias ? context.empty(shape) : context.filled(shape, 0)
      const target = context.floats(y)
      if (bias) {
        dims('loraLinear: bias', bias, 'O', { O })
        kernels.fill_rows(context.floats(bias), target, rows, O)
      }
      if (weight) {
        const kernel = transposed ? kernels.matmul_nn : kernels.matmul_nt
        const source = part(context.floats(x), I)
        const w = weightPart(call, weight, transposed)
        call.multiply(kernel, source, w, part(target, O), [rows, O, I], 1, bias !== undefined)
      }
      const updates = updatesOf(inputs, options.updates).map(update =>
        forwardUpdate(call, x, target, update),
      )
      const needsInput = needs[1] || updates.some((_, i) => needs[FIRST + PER_UPDATE * i])
      const saved = {
        x: needsInput ? x : undefined,
        weight: needs[0] ? weight : undefined,
        transposed,
        xShape: x.shape,
        held: updates.flatMap(({ A, B, u }) => [A, B, u]),
        updates,
      }
      return { y, saved }
    },

    backward(context, dy, { x, weight, transposed, xShape, updates }): Gradients {
      const { rows, O } = dims('loraLinear: dy', dy, '...rows O')
      const I = xShape[xShape.length - 1]
      const call = new Call(context, { rows, I, O })
      const { kernels, needs } = context
      const upstream = part(context.floats(dy), O)
      const dx = needs[0] ? inputGradient(context, xShape, weight) : undefined
      const input = x && part(context.floats(x), I)
      const dW = needs[1] && input ? weightGradient(call, upstream, input, transposed) : undefined
      const db = needs[2] ? context.empty([O]) : undefined
      if (dx && weight) {
        const kernel = transposed ? kernels.matmul_nt : kernels.matmul_nn
        const w = weightPart(call, weight, transposed)
        call.multiply(kernel, upstream, w, part(context.floats(dx), I), [rows, I, O])
      }
      if (db) {
        kernels.sum_rows(upstream.buffer, context.floats(db), rows, O)
      }
      const target = dx && context.floats(dx)
      const gradients = updates.flatMap((update, i) => {
        const at = FIRST + PER_UPDATE * i
        const own = needs.slice(at, at + PER_UPDATE)
        return backwardUpdate(call, upstream.buffer, x, target, update, own)
      })
      return [dx, dW, db, ...gradients]
    },
  })

/**
 * x·Wᵀ + b + Σ s·(x·Aᵀ)·Bᵀ for x [..., I], weight [O, I], bias [O] and updates A [R, I], B [O, R]:
 * y [..., O]. Without a weight, the updates alone; with `transposed`, weight is [I, O]. Gradients are
 * computed for those inputs that require one. Throws a `shape` error.
 *
 * @example
 * ```ts
 * import { loraLinear, tensor } from 'lowrank'
 *
 * const A = tensor([1, 1], [1, 2])
 * const B = tensor([1, 0], [2, 1])
 * const eye = tensor([1, 0, 0, 1], [2, 2])
 * const y = loraLinear(tensor([3, 4], [1, 2]), eye, undefined, [{ A, B, scale: 2 }])
 * console.log(y.dataSync()) // Float32Array [17, 4]
 * ```
 */
export function loraLinear(
  x: Tensor,
  weight: Tensor | undefined,
  bias: Tensor | undefined,
  updates: readonly LowRank[],
  options: { readonly transposed?: boolean } = {},
): Tensor {
  const factors = updates.flatMap(update => [update.A, update.B, update.bias])
  return loraLinearOp([x, weight, bias, ...factors], { ...options, updates })
}

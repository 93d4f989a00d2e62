// The cross-entropy of a linear layer, in chunks of rows: x [rows, C], W [V, C], classes t [rows].
//
//   y = crossEntropy(x·Wᵀ, t)        dx = d·W        dW = dᵀ·x        d [rows, V] the gradient of the logits
//
// [rows, V] is never held whole: 256 tokens of a vocabulary of 151,936 would be 156 MB, twice. A mean or a sum
// has one dy for all rows, so forward computes d with dy = 1, chunk by chunk, and keeps dx and dW alone;
// backward multiplies them by dy. Without a reduction each row has its own dy and backward computes
// the logits again. A row has the bits that linear and crossEntropy give it, whatever the chunk, and dx where
// dy is a power of two. Source: Hsu et al., "Liger Kernel" (arXiv 2410.10989), section 3.

import { transformer as binary } from '#kernels/transformer'
import type { Floats } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Gradients, type Op, type OpContext } from '../core/op.ts'
import { formatShape, sameShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import {
  type CrossEntropyKernels,
  type CrossEntropyOptions,
  type CrossEntropySettings,
  checkClasses,
  crossEntropyReference,
  readSettings,
} from './cross_entropy.ts'
import { type ChunkKernels, chunkReference } from './cross_entropy_chunk.ts'
import { gradientRoom } from './gradient_room.ts'
import { MATMUL_SCRATCH, type MatmulKernel, type MatmulKernels, matmulReference } from './matmul.ts'

/** Elements of the logits of one chunk: 16 MB, the rows of which still fill the tiles of a product. */
const CHUNK = 4194304
const ROWS = 32

/** How many rows are computed at once. */
export function chunkRows(classes: number): number {
  return Math.max(1, Math.floor(CHUNK / ROWS / Math.max(1, classes))) * ROWS
}

interface Kernels extends MatmulKernels, CrossEntropyKernels, ChunkKernels {}

type Inputs = readonly [x: Tensor, weight: Tensor, target: Tensor, classWeight: Tensor | undefined]

/** Where the gradients go, if they are wanted, and the upstream one: one number with step 0, or one a row. */
interface Gradient {
  readonly dy: Floats
  readonly dyStep: number
  readonly divisor: Floats
  readonly dx: Tensor | undefined
  readonly dWeight: Tensor | undefined
}

/** One pass over all rows. */
interface Pass {
  readonly context: OpContext<Kernels>
  readonly settings: CrossEntropySettings
  readonly x: Tensor
  readonly weight: Tensor
  readonly target: Tensor
  readonly classWeight: Tensor
  readonly losses: Floats
  readonly weights: Floats
}

/** A matrix that is a part of a buffer. */
type Part = readonly [buffer: Floats, offset: number, stride: number]

function product(
  { context }: Pass,
  kernel: MatmulKernel,
  a: Part,
  b: readonly [...Part, format: number],
  c: Part,
  sizes: readonly [M: number, N: number, K: number],
  accumulate = 0,
): void {
  kernel(...a, ...b, ...c, ...sizes, 1, accumulate, context.scratch(MATMUL_SCRATCH))
}

function chunkGradient(
  pass: Pass,
  gradient: Gradient,
  logits: Floats,
  normalizers: Floats,
  start: number,
  count: number,
): void {
  const { context, settings, x, weight, target, classWeight } = pass
  const [V, C] = weight.shape
  const { kernels } = context
  const { dx, dWeight } = gradient
  kernels.cross_entropy_chunk_backward(
    logits,
    context.ints(target),
    context.floats(classWeight),
    classWeight.shape.length,
    normalizers,
    gradient.dy,
    gradient.dyStep,
    gradient.divisor,
    start,
    count,
    V,
    settings.ignoreIndex,
    settings.smoothing,
  )
  const d: Part = [logits, 0, V]
  if (dx) {
    const { buffer, format } = context.matrix(weight)
    const to: Part = [context.floats(dx), start * C, C]
    product(pass, kernels.matmul_nn, d, [buffer, 0, C, format], to, [count, C, V])
  }
  if (dWeight) {
    const input = [context.floats(x), start * C, C, 0] as const
    const to: Part = [context.floats(dWeight), 0, C]
    product(pass, kernels.matmul_tn, d, input, to, [V, C, count], start === 0 ? 0 : 1)
  }
}

/** The losses of all rows and, where asked for, the gradients, a chunk of logits at a time. */
function run(pass: Pass, gradient: Gradient | undefined): void {
  const { context, settings, x, weight, target, classWeight, losses, weights } = pass
  const [V, C] = weight.shape
  const rows = x.shape[0]
  const step = Math.min(rows, chunkRows(V))
  const logits = context.temporary(step * V)
  const normalizers = context.temporary(2 * step)
  const { buffer, format } = context.matrix(weight)
  for (let start = 0; start < rows; start += step) {
    const count = Math.min(step, rows - start)
    const input: Part = [context.floats(x), start * C, C]
    const to: Part = [logits, 0, V]
    const { matmul_nt, cross_entropy_chunk } = context.kernels
    product(pass, matmul_nt, input, [buffer, 0, C, format], to, [count, V, C])
    cross_entropy_chunk(
      logits,
      context.ints(target),
      context.floats(classWeight),
      classWeight.shape.length,
      losses,
      weights,
      normalizers,
      start,
      count,
      V,
      settings.ignoreIndex,
      settings.smoothing,
    )
    if (gradient) {
      chunkGradient(pass, gradient, logits, normalizers, start, count)
    }
  }
}

interface Saved {
  readonly settings: CrossEntropySettings
  /** Finished but for dy, with a mean or a sum. */
  readonly dx: Tensor | undefined
  readonly dWeight: Tensor | undefined
  /** What backward starts again from, without a reduction. */
  readonly inputs: readonly Tensor[]
}

/** Room for the gradients that are needed. */
function roomFor(
  context: OpContext<Kernels>,
  x: Tensor,
  weight: Tensor,
): Pick<Gradient, 'dx' | 'dWeight'> {
  const [needsX, needsWeight] = context.needs
  // The first chunk overwrites dW; without any it is 0.
  const dWeight = (): Tensor =>
    x.size > 0 ? context.empty(weight.shape) : context.filled(weight.shape, 0)
  return {
    dx: needsX ? context.empty(x.shape) : undefined,
    dWeight: needsWeight ? dWeight() : undefined,
  }
}

function passOf(
  context: OpContext<Kernels>,
  [x, weight, target, classWeight]: readonly [Tensor, Tensor, Tensor, Tensor],
  settings: CrossEntropySettings,
  losses: Floats,
): Pass {
  const weights = context.temporary(x.shape[0])
  return { context, settings, x, weight, target, classWeight, losses, weights }
}

/** Runs with a reduction: the divisor first, since the gradients of the first chunk need it. */
function reduced(pass: Pass, y: Tensor): Pick<Gradient, 'dx' | 'dWeight'> {
  const { context, settings, x, weight, target, classWeight, losses, weights } = pass
  const { class_weights, cross_entropy_reduce } = context.kernels
  const rows = x.shape[0]
  const mean = settings.reduction === 'mean' ? 1 : 0
  const [total, divisor] = [context.floats(y), context.floats(context.empty([]))]
  const [classes, own] = [context.floats(classWeight), classWeight.shape.length]
  class_weights(context.ints(target), classes, own, weights, rows, settings.ignoreIndex)
  cross_entropy_reduce(losses, weights, mean, total, divisor, rows)
  const room = roomFor(context, x, weight)
  const wanted = room.dx !== undefined || room.dWeight !== undefined
  const dy = context.floats(context.filled([], 1))
  run(pass, wanted ? { dy, dyStep: 0, divisor, ...room } : undefined)
  cross_entropy_reduce(losses, weights, mean, total, divisor, rows)
  return room
}

/** dy · x, over x itself where nothing else reads it. */
function scaled(
  context: OpContext<Kernels>,
  x: Tensor | undefined,
  dy: Tensor,
): Tensor | undefined {
  if (!x) {
    return undefined
  }
  const y = gradientRoom(context, x)
  context.kernels.scale(context.floats(x), context.floats(dy), context.floats(y), x.size)
  return y
}

export const linearCrossEntropyOp: Op<Kernels, Inputs, CrossEntropySettings, Tensor, Saved> =
  /* @__PURE__ */ defineOp({
    name: 'linear_cross_entropy',
    reference: /* @__PURE__ */ Object.assign(
      {},
      matmulReference,
      crossEntropyReference,
      chunkReference,
    ),
    binary,

    forward(context, [x, weight, target, classWeight], settings) {
      const inputs = [x, weight, target, classWeight ?? context.filled([], 1)] as const
      if (settings.reduction === 'none') {
        const y = context.empty(target.shape)
        run(passOf(context, inputs, settings, context.floats(y)), undefined)
        const saved: Saved = { settings, dx: undefined, dWeight: undefined, inputs }
        return { y, saved }
      }
      const y = context.empty([])
      const losses = context.temporary(x.shape[0])
      const gradients = reduced(passOf(context, inputs, settings, losses), y)
      const saved: Saved = { settings, ...gradients, inputs: [] }
      return { y, saved }
    },

    backward(context, dy, { settings, dx, dWeight, inputs }): Gradients {
      if (settings.reduction !== 'none') {
        return [scaled(context, dx, dy), scaled(context, dWeight, dy)]
      }
      const all = inputs as readonly [Tensor, Tensor, Tensor, Tensor]
      const room = roomFor(context, all[0], all[1])
      const divisor = context.floats(context.filled([], 1))
      const pass = passOf(context, all, settings, context.temporary(all[0].shape[0]))
      run(pass, { dy: context.floats(dy), dyStep: 1, divisor, ...room })
      return [room.dx, room.dWeight]
    },
  })

function checkShapes(x: Tensor, weight: Tensor, target: Tensor, classWeight?: Tensor): void {
  const { V, C } = dims('linearCrossEntropy: weight', weight, 'V C')
  const { rows } = dims('linearCrossEntropy: x', x, 'rows C', { C })
  if (!sameShape(target.shape, [rows])) {
    throw new LowrankError(
      'shape',
      `linearCrossEntropy: expected a class for each of ${rows} rows, got ${formatShape(target.shape)}`,
    )
  }
  if (classWeight && !sameShape(classWeight.shape, [V])) {
    throw new LowrankError(
      'shape',
      `linearCrossEntropy: expected one weight per class, [${V}], got ${formatShape(classWeight.shape)}`,
    )
  }
}

/**
 * `crossEntropy(linear(x, weight), target)` for x [rows, C], weight [V, C] and classes target [rows]
 * (int32), without holding the logits [rows, V] as a whole: a scalar, or [rows] with reduction `none`. A
 * frozen weight may be float16 or bfloat16. Throws `shape` errors, and `argument` errors for a class or an
 * option out of range.
 *
 * @example
 * ```ts
 * import { linearCrossEntropy, tensor } from 'lowrank'
 *
 * const weight = tensor([1, 0, 1, 0], [2, 2])
 * const target = tensor([1], [1], { dtype: 'int32' })
 * console.log(linearCrossEntropy(tensor([3, 4], [1, 2]), weight, target).itemSync()) // 0.6931471824645996
 * ```
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Tensor,
  target: Tensor,
  options: CrossEntropyOptions = {},
): Tensor {
  const settings = readSettings('linearCrossEntropy', options)
  checkShapes(x, weight, target, options.weight)
  checkClasses('linearCrossEntropy', target, weight.shape[0], settings.ignoreIndex)
  return linearCrossEntropyOp([x, weight, target, options.weight], settings)
}

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

import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Gradients, type Op, type OpContext } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { dropoutReference } from './dropout.ts'
import { linearReference } from './linear_reference.ts'
import {
  backwardUpdate,
  Call,
  forwardUpdate,
  type Kernels,
  type LowRank,
  type Part,
  part,
  type SavedUpdate,
  type UpdateOptions,
} from './lora_linear_update.ts'
import { matmulReference } from './matmul.ts'

export type { LowRank, RowRange } from './lora_linear_update.ts'

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

function updatesOf(
  inputs: Inputs,
  options: readonly UpdateOptions[],
  { I, O }: { readonly I: number; readonly O: number },
): LowRank[] {
  return options.map(({ scale, dropout, rows }, i) => {
    const at = FIRST + PER_UPDATE * i
    const [A, B, bias] = inputs.slice(at, at + PER_UPDATE) as [Tensor, Tensor, Tensor | undefined]
    const { R } = dims('loraLinear: A', A, 'R I', { I })
    dims('loraLinear: B', B, 'O R', { O, R })
    if (bias) {
      dims('loraLinear: bias', bias, 'O', { O })
    }
    return { scale, dropout, rows, A, B, bias }
  })
}

/** W as a matrix operand; only one that is stored as [O, I] goes into the backend's own layout. */
function weightPart(call: Call, weight: Tensor, transposed: boolean): Part & { format: number } {
  const stride = transposed ? call.O : call.I
  const { buffer, format } = call.context.matrix(weight, !transposed)
  return { buffer, offset: 0, stride, format }
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
  const B = inputs[FIRST + 1]
  if (!B) {
    throw new LowrankError('argument', 'loraLinear: expected a weight or an update, got neither')
  }
  return dims('loraLinear: B', B, 'O R').O
}

const accumulateReference: Pick<Kernels, 'accumulate'> = {
  accumulate(x, y, n) {
    for (let i = 0; i < n; i++) {
      y[i] += x[i]
    }
  },
}

export const loraLinearOp: Op<Kernels, Inputs, LayerOptions, Tensor, Saved> =
  /* @__PURE__ */ defineOp({
    name: 'lora_linear',
    reference: /* @__PURE__ */ Object.assign(
      {},
      matmulReference,
      linearReference,
      dropoutReference,
      accumulateReference,
    ),

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
      const updates = updatesOf(inputs, options.updates, call).map(update =>
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
 * computed for those inputs that require one. Throws a `shape` error, and an `argument` error for rows
 * outside of the batch.
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
  return loraLinearOp([x, weight, bias, ...factors], { transposed: options.transposed, updates })
}

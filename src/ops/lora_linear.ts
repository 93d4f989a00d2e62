// A linear layer under any number of low-rank updates, as one op (Hu et al. 2021, arXiv 2106.09685,
// equation 3). x [..., I], W [O, I], b [O], A [R, I], B [O, R], s = alpha / r:
//
//   y = x·Wᵀ + b + Σ s·(x·Aᵀ)·Bᵀ
//
//   du = s·dy·B      dA = duᵀ·x      dB = s·dyᵀ·u      dx = dy·W + Σ du·A      u = x·Aᵀ
//
// B·A is never formed; dy·B is formed once for dx and dA; what is kept for backward is x and u, and
// nothing of the size of W or of y. W is read in its stored dtype.

import type { Floats } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { defineOp, type Gradients, type Op, type OpContext } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { type LinearKernels, linearReference } from './linear.ts'
import { MATMUL_SCRATCH, type MatmulKernels, matmulReference } from './matmul.ts'

/** One low-rank update: A [R, I], B [O, R], and what multiplies their product. */
export interface LowRank {
  readonly A: Tensor
  readonly B: Tensor
  readonly scale: number
}

export interface LoraLinearSaved {
  readonly x: Tensor | undefined
  readonly weight: Tensor | undefined
  readonly xShape: Shape
  /** A, B and u = x·Aᵀ of each update, one after the other. */
  readonly factors: readonly Tensor[]
}

interface Kernels extends MatmulKernels, LinearKernels {}

type Inputs = readonly (Tensor | undefined)[]

const FIRST_UPDATE = 3

interface Sizes {
  readonly rows: number
  readonly I: number
  readonly O: number
}

function forwardUpdate(
  context: OpContext<Kernels>,
  x: Floats,
  y: Floats,
  { rows, I, O }: Sizes,
  [A, B, scale]: readonly [Tensor, Tensor, number],
): Tensor {
  const { R } = dims('loraLinear: A', A, 'R I', { I })
  dims('loraLinear: B', B, 'O R', { O, R })
  const { matmul_nt } = context.kernels
  const scratch = context.scratch(MATMUL_SCRATCH)
  const u = context.empty([rows, R])
  const uBuffer = context.floats(u)
  matmul_nt(x, 0, I, context.floats(A), 0, I, 0, uBuffer, 0, R, rows, R, I, 1, 0, scratch)
  matmul_nt(uBuffer, 0, R, context.floats(B), 0, R, 0, y, 0, O, rows, O, R, scale, 1, scratch)
  return u
}

interface UpdateGradients {
  readonly dA: Tensor | undefined
  readonly dB: Tensor | undefined
}

function backwardUpdate(
  context: OpContext<Kernels>,
  dy: Floats,
  dx: Floats | undefined,
  x: Tensor | undefined,
  { rows, I, O }: Sizes,
  [A, B, u]: readonly [Tensor, Tensor, Tensor],
  scale: number,
  [needsA, needsB]: readonly [boolean, boolean],
): UpdateGradients {
  const { matmul_nn, matmul_tn } = context.kernels
  const scratch = context.scratch(MATMUL_SCRATCH)
  const R = A.shape[0]
  const dA = needsA ? context.empty(A.shape) : undefined
  const dB = needsB ? context.empty(B.shape) : undefined
  if (dx || dA) {
    const du = context.temporary(rows * R)
    matmul_nn(dy, 0, O, context.floats(B), 0, R, 0, du, 0, R, rows, R, O, scale, 0, scratch)
    if (dx) {
      matmul_nn(du, 0, R, context.floats(A), 0, I, 0, dx, 0, I, rows, I, R, 1, 1, scratch)
    }
    if (dA && x) {
      const target = context.floats(dA)
      matmul_tn(du, 0, R, context.floats(x), 0, I, 0, target, 0, I, R, I, rows, 1, 0, scratch)
    }
  }
  if (dB) {
    const target = context.floats(dB)
    matmul_tn(dy, 0, O, context.floats(u), 0, R, 0, target, 0, R, O, R, rows, scale, 0, scratch)
  }
  return { dA, dB }
}

export const loraLinearOp: Op<
  Kernels,
  Inputs,
  { readonly scales: readonly number[] },
  Tensor,
  LoraLinearSaved & { readonly scales: readonly number[] }
> = /* @__PURE__ */ defineOp({
  name: 'lora_linear',
  reference: { ...matmulReference, ...linearReference },

  forward(context, [x, weight, bias, ...factors], { scales }) {
    const { rows, I } = dims('loraLinear: x', x as Tensor, '...rows I')
    const { O } = dims('loraLinear: weight', weight as Tensor, 'O I', { I })
    const sizes = { rows, I, O }
    const y = context.empty([...(x as Tensor).shape.slice(0, -1), O])
    const target = context.floats(y)
    const source = context.floats(x as Tensor)
    if (bias) {
      dims('loraLinear: bias', bias, 'O', { O })
      context.kernels.fill_rows(context.floats(bias), target, rows, O)
    }
    const w = context.matrix(weight as Tensor)
    const scratch = context.scratch(MATMUL_SCRATCH)
    const accumulate = bias ? 1 : 0
    context.kernels.matmul_nt(
      source,
      0,
      I,
      w.buffer,
      0,
      I,
      w.format,
      target,
      0,
      O,
      rows,
      O,
      I,
      1,
      accumulate,
      scratch,
    )
    const kept: Tensor[] = []
    scales.forEach((scale, i) => {
      const A = factors[2 * i] as Tensor
      const B = factors[2 * i + 1] as Tensor
      kept.push(A, B, forwardUpdate(context, source, target, sizes, [A, B, scale]))
    })
    const [needsX, needsW] = context.needs
    const needsA = context.needs.some((need, i) => need && i >= FIRST_UPDATE && i % 2 === 1)
    const saved = {
      x: needsW || needsA ? x : undefined,
      weight: needsX ? weight : undefined,
      xShape: (x as Tensor).shape,
      factors: kept,
      scales,
    }
    return { y, saved }
  },

  backward(context, dy, { x, weight, xShape, factors, scales }): Gradients {
    const { rows, O } = dims('loraLinear: dy', dy, '...rows O')
    const I = xShape[xShape.length - 1]
    const sizes = { rows, I, O }
    const { kernels, needs } = context
    const scratch = context.scratch(MATMUL_SCRATCH)
    const upstream = context.floats(dy)
    const dx = needs[0] ? context.empty(xShape) : undefined
    const dW = needs[1] ? context.empty([O, I]) : undefined
    const db = needs[2] ? context.empty([O]) : undefined
    const target = dx && context.floats(dx)
    if (target) {
      const w = context.matrix(weight as Tensor)
      kernels.matmul_nn(
        upstream,
        0,
        O,
        w.buffer,
        0,
        I,
        w.format,
        target,
        0,
        I,
        rows,
        I,
        O,
        1,
        0,
        scratch,
      )
    }
    if (dW) {
      const source = context.floats(x as Tensor)
      const buffer = context.floats(dW)
      kernels.matmul_tn(upstream, 0, O, source, 0, I, 0, buffer, 0, I, O, I, rows, 1, 0, scratch)
    }
    if (db) {
      kernels.sum_rows(upstream, context.floats(db), rows, O)
    }
    const gradients: (Tensor | undefined)[] = [dx, dW, db]
    scales.forEach((scale, i) => {
      const [A, B, u] = factors.slice(3 * i, 3 * i + 3)
      const at = FIRST_UPDATE + 2 * i
      const { dA, dB } = backwardUpdate(context, upstream, target, x, sizes, [A, B, u], scale, [
        needs[at],
        needs[at + 1],
      ])
      gradients.push(dA, dB)
    })
    return gradients
  },
})

/**
 * x·Wᵀ + b + Σ s·(x·Aᵀ)·Bᵀ for x [..., I], weight [O, I], bias [O] and updates A [R, I], B [O, R]:
 * y [..., O]. Gradients are computed for those inputs that require one. Throws a `shape` error.
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
  weight: Tensor,
  bias: Tensor | undefined,
  updates: readonly LowRank[],
): Tensor {
  const factors = updates.flatMap(({ A, B }) => [A, B])
  return loraLinearOp([x, weight, bias, ...factors], { scales: updates.map(({ scale }) => scale) })
}

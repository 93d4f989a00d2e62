// A linear layer: x [..., I], W [O, I], b [O], y [..., O].
//
//   y = x·Wᵀ + b          dx = dy·W          dW = dyᵀ·x          db = Σ over rows of dy
//
// W is read in its stored dtype and layout in both directions, never widened as a whole. The rows of y
// start as b and the product adds to them. x is kept only where W needs a gradient, W only where x
// does.

import type { Floats } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { type LinearKernels, linearReference } from './linear_reference.ts'
import { MATMUL_SCRATCH, type MatmulKernel, type MatmulKernels, matmulReference } from './matmul.ts'

interface Kernels extends MatmulKernels, LinearKernels {}

interface Operand {
  readonly buffer: Floats
  readonly format?: number
  /** The distance between its rows. */
  readonly stride: number
}

/** target [M, N] = a · b, plus what the target held if `accumulate` is 1. */
function multiply(
  context: OpContext<Kernels>,
  kernel: MatmulKernel,
  a: Operand,
  b: Operand,
  target: Floats,
  [M, N, K]: readonly [number, number, number],
  accumulate = 0,
): void {
  const scratch = context.scratch(MATMUL_SCRATCH)
  const format = b.format ?? 0
  const { buffer, stride } = a
  kernel(
    buffer,
    0,
    stride,
    b.buffer,
    0,
    b.stride,
    format,
    target,
    0,
    N,
    M,
    N,
    K,
    1,
    accumulate,
    scratch,
  )
}

export interface LinearSaved {
  readonly x: Tensor | undefined
  readonly weight: Tensor | undefined
  readonly xShape: Shape
}

export const linearOp: Op<
  Kernels,
  readonly [x: Tensor, weight: Tensor, bias: Tensor | undefined],
  object,
  Tensor,
  LinearSaved
> = /* @__PURE__ */ defineOp({
  name: 'linear',
  reference: /* @__PURE__ */ Object.assign({}, matmulReference, linearReference),

  forward(context, [x, weight, bias]) {
    const { O, I } = dims('linear: weight', weight, 'O I')
    const { rows } = dims('linear: x', x, '...rows I', { I })
    const y = context.empty([...x.shape.slice(0, -1), O])
    const target = context.floats(y)
    if (bias) {
      dims('linear: bias', bias, 'O', { O })
      context.kernels.fill_rows(context.floats(bias), target, rows, O)
    }
    const a = { buffer: context.floats(x), stride: I }
    const { buffer, format } = context.matrix(weight)
    const b = { buffer, format, stride: I }
    multiply(context, context.kernels.matmul_nt, a, b, target, [rows, O, I], bias ? 1 : 0)
    const [needsX, needsWeight] = context.needs
    const saved = {
      x: needsWeight ? x : undefined,
      weight: needsX ? weight : undefined,
      xShape: x.shape,
    }
    return { y, saved }
  },

  backward(context, dy, { x, weight, xShape }) {
    const { rows, O } = dims('linear: dy', dy, '...rows O')
    const I = xShape[xShape.length - 1]
    const { kernels, needs } = context
    const upstream = { buffer: context.floats(dy), stride: O }
    const dx = needs[0] ? context.empty(xShape) : undefined
    const dWeight = needs[1] ? context.empty([O, I]) : undefined
    const dBias = needs[2] ? context.empty([O]) : undefined
    if (dx) {
      const { buffer, format } = context.matrix(weight as Tensor)
      const w = { buffer, format, stride: I }
      multiply(context, kernels.matmul_nn, upstream, w, context.floats(dx), [rows, I, O])
    }
    if (dWeight) {
      const input = { buffer: context.floats(x as Tensor), stride: I }
      multiply(context, kernels.matmul_tn, upstream, input, context.floats(dWeight), [O, I, rows])
    }
    if (dBias) {
      kernels.sum_rows(upstream.buffer, context.floats(dBias), rows, O)
    }
    return [dx, dWeight, dBias]
  },
})

type LinearShape<X extends Shape, W extends Shape> = X extends readonly [
  ...infer Rows extends readonly number[],
  number,
]
  ? W extends readonly [infer O extends number, number]
    ? readonly [...Rows, O]
    : Shape
  : Shape

/** `unknown` where the literal sizes fit, else a message in place of a type. */
type FitsInput<X extends Shape, W extends Shape> = X extends readonly [
  ...unknown[],
  infer I extends number,
]
  ? W extends readonly [number, infer J extends number]
    ? number extends I | J
      ? unknown
      : I extends J
        ? unknown
        : `linear: x has ${I} features, the weight takes ${J}`
    : unknown
  : unknown

type FitsBias<W extends Shape, B extends Shape> = W extends readonly [
  infer O extends number,
  number,
]
  ? B extends readonly [infer P extends number]
    ? number extends O | P
      ? unknown
      : O extends P
        ? unknown
        : `linear: the weight gives ${O} features, the bias has ${P}`
    : unknown
  : unknown

/**
 * x·Wᵀ + b for x [..., I], weight [O, I] and bias [O]: [..., O]. A frozen weight may be float16 or
 * bfloat16. Throws a `shape` error.
 *
 * @example
 * ```ts
 * import { linear, tensor } from 'lowrank'
 *
 * const y = linear(tensor([1, 2], [1, 2]), tensor([3, 4, 5, 6], [2, 2]), tensor([0.5, 0], [2]))
 * console.log(y.dataSync()) // Float32Array [11.5, 17]
 * ```
 */
export function linear<X extends Shape, W extends Shape, B extends Shape = Shape>(
  x: Tensor<X>,
  weight: Tensor<W> & FitsInput<X, W>,
  bias?: Tensor<B> & FitsBias<W, B>,
): Tensor<LinearShape<X, W>> {
  return linearOp([x, weight, bias], {}) as Tensor<LinearShape<X, W>>
}

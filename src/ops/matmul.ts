// Matrix product: y[…, M, N] = a[…, M, K] · b[…, K, N], leading axes broadcast.
//
//   y[m, n] = Σ_k a[m, k] · b[k, n]        da = dy · bᵀ        db = aᵀ · dy
//
// Transposition is a property of the kernel, not of a tensor: nn, nt (b stored [N, K]) and tn
// (a stored [K, M]). Each element of y is one accumulator, k ascending.

import type { Floats } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import { broadcastShapes, formatShape, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { reshape } from './reshape.ts'

/** Floats of scratch that a product of any size may use. */
export const MATMUL_SCRATCH = 393216

/**
 * c[M, N] = alpha · (product), plus what c held if `accumulate` is 1. Each operand is a part of a
 * buffer: offset of its first element and distance between its rows. `bFormat` is how b is stored
 * (see core/dtype.ts).
 */
export type MatmulKernel = (
  a: Floats,
  aOffset: number,
  aStride: number,
  b: Floats,
  bOffset: number,
  bStride: number,
  bFormat: number,
  c: Floats,
  cOffset: number,
  cStride: number,
  M: number,
  N: number,
  K: number,
  alpha: number,
  accumulate: number,
  scratch: Floats,
) => void

export interface MatmulKernels {
  readonly matmul_nn: MatmulKernel
  readonly matmul_nt: MatmulKernel
  readonly matmul_tn: MatmulKernel
}

/** The loops, for an a and b whose element (m, k) or (k, n) is found by the given two strides. */
function product(rows: 'nn' | 'nt' | 'tn'): MatmulKernel {
  return (
    a,
    aOffset,
    aStride,
    b,
    bOffset,
    bStride,
    _format,
    c,
    cOffset,
    cStride,
    M,
    N,
    K,
    alpha,
    accumulate,
  ) => {
    const [aM, aK] = rows === 'tn' ? [1, aStride] : [aStride, 1]
    const [bK, bN] = rows === 'nt' ? [1, bStride] : [bStride, 1]
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0
        for (let k = 0; k < K; k++) {
          sum += a[aOffset + m * aM + k * aK] * b[bOffset + k * bK + n * bN]
        }
        const at = cOffset + m * cStride + n
        c[at] = (accumulate ? c[at] : 0) + alpha * sum
      }
    }
  }
}

export const matmulReference: MatmulKernels = {
  matmul_nn: /* @__PURE__ */ product('nn'),
  matmul_nt: /* @__PURE__ */ product('nt'),
  matmul_tn: /* @__PURE__ */ product('tn'),
}

export interface MatmulOptions {
  /** a is stored [K, M]. */
  readonly transposeA?: boolean
  /** b is stored [N, K]. */
  readonly transposeB?: boolean
}

type Variant = keyof MatmulKernels

export interface MatmulProblem {
  readonly variant: Variant
  readonly M: number
  readonly N: number
  readonly K: number
  /** Leading axes of the result, and for each of its matrices where a's and b's begin. */
  readonly batch: readonly number[]
  readonly aOffsets: readonly number[]
  readonly bOffsets: readonly number[]
}

const ONE: readonly number[] = [0]

/** Where the matrix of each batch entry begins in an operand that may broadcast. */
function offsetsIn(shape: Shape, batch: Shape): readonly number[] {
  if (batch.length === 0) {
    return ONE
  }
  const leading = shape.slice(0, -2)
  const strides = stridesOf(shape)
  const offsets = [0]
  let current = offsets
  batch.forEach((size, axis) => {
    const own = axis - (batch.length - leading.length)
    const stride = own < 0 || leading[own] === 1 ? 0 : strides[own]
    current = current.flatMap(offset => Array.from({ length: size }, (_, i) => offset + i * stride))
  })
  return current
}

function problemOf(a: Tensor, b: Tensor, { transposeA, transposeB }: MatmulOptions): MatmulProblem {
  if (transposeA && transposeB) {
    throw new LowrankError(
      'argument',
      'matmul: transposeA and transposeB together are not offered (swap the operands instead)',
    )
  }
  const left = dims('matmul: a', a.shape.slice(-2), transposeA ? 'K M' : 'M K')
  const right = dims('matmul: b', b.shape.slice(-2), transposeB ? 'N K' : 'K N')
  if (left.K !== right.K) {
    const hint = !transposeB && left.K === right.N ? ' (b stored [N, K]? use transposeB)' : ''
    throw new LowrankError(
      'shape',
      `matmul: inner sizes differ: a is ${formatShape(a.shape)}, b is ${formatShape(b.shape)}, ` +
        `so K is ${left.K} and ${right.K}${hint}`,
    )
  }
  const batch = broadcastShapes('matmul', a.shape.slice(0, -2), b.shape.slice(0, -2))
  return {
    variant: transposeA ? 'matmul_tn' : transposeB ? 'matmul_nt' : 'matmul_nn',
    M: left.M,
    N: right.N,
    K: left.K,
    batch,
    aOffsets: offsetsIn(a.shape, batch),
    bOffsets: offsetsIn(b.shape, batch),
  }
}

export interface MatmulSaved {
  readonly problem: MatmulProblem
  readonly a: Tensor | undefined
  readonly b: Tensor | undefined
  readonly aShape: Shape
  readonly bShape: Shape
}

/** A product per batch entry, added up where the target broadcast. */
function gradientOf(
  context: OpContext<MatmulKernels>,
  variant: Variant,
  shape: Shape,
  left: { x: Tensor; offsets: readonly number[] },
  right: { x: Tensor; offsets: readonly number[] },
  targets: readonly number[],
  [M, N, K]: readonly [number, number, number],
): Tensor {
  const gradient = context.filled(shape, 0)
  const kernel = context.kernels[variant]
  const scratch = context.scratch(MATMUL_SCRATCH)
  const l = context.floats(left.x)
  const r = context.floats(right.x)
  const target = context.floats(gradient)
  const leftStride = variant === 'matmul_tn' ? M : K
  const rightStride = variant === 'matmul_nt' ? K : N
  targets.forEach((offset, i) => {
    kernel(
      l,
      left.offsets[i],
      leftStride,
      r,
      right.offsets[i],
      rightStride,
      0,
      target,
      offset,
      N,
      M,
      N,
      K,
      1,
      1,
      scratch,
    )
  })
  return gradient
}

function gradientOfA(context: OpContext<MatmulKernels>, dy: Tensor, saved: MatmulSaved): Tensor {
  const { aShape, problem } = saved
  const { M, N, K, variant, aOffsets, bOffsets } = problem
  const b = { x: saved.b as Tensor, offsets: bOffsets }
  const d = { x: dy, offsets: aOffsets.map((_, i) => i * M * N) }
  switch (variant) {
    case 'matmul_nn':
      return gradientOf(context, 'matmul_nt', aShape, d, b, aOffsets, [M, K, N])
    case 'matmul_nt':
      return gradientOf(context, 'matmul_nn', aShape, d, b, aOffsets, [M, K, N])
    case 'matmul_tn':
      return gradientOf(context, 'matmul_nt', aShape, b, d, aOffsets, [K, M, N])
  }
}

function gradientOfB(context: OpContext<MatmulKernels>, dy: Tensor, saved: MatmulSaved): Tensor {
  const { bShape, problem } = saved
  const { M, N, K, variant, aOffsets, bOffsets } = problem
  const a = { x: saved.a as Tensor, offsets: aOffsets }
  const d = { x: dy, offsets: bOffsets.map((_, i) => i * M * N) }
  switch (variant) {
    case 'matmul_nn':
      return gradientOf(context, 'matmul_tn', bShape, a, d, bOffsets, [K, N, M])
    case 'matmul_nt':
      return gradientOf(context, 'matmul_tn', bShape, d, a, bOffsets, [N, K, M])
    case 'matmul_tn':
      return gradientOf(context, 'matmul_nn', bShape, a, d, bOffsets, [K, N, M])
  }
}

export const matmulOp: Op<
  MatmulKernels,
  readonly [a: Tensor, b: Tensor],
  MatmulOptions,
  Tensor,
  MatmulSaved
> = /* @__PURE__ */ defineOp({
  name: 'matmul',
  reference: matmulReference,

  forward(context, [a, b], options) {
    const problem = problemOf(a, b, options)
    const { M, N, K, aOffsets, bOffsets } = problem
    const y = context.empty([...problem.batch, M, N])
    const kernel = context.kernels[problem.variant]
    const scratch = context.scratch(MATMUL_SCRATCH)
    const left = context.floats(a)
    const right = context.floats(b)
    const target = context.floats(y)
    const aStride = options.transposeA ? M : K
    const bStride = options.transposeB ? K : N
    aOffsets.forEach((aOffset, i) => {
      kernel(
        left,
        aOffset,
        aStride,
        right,
        bOffsets[i],
        bStride,
        0,
        target,
        i * M * N,
        N,
        M,
        N,
        K,
        1,
        0,
        scratch,
      )
    })
    const [needsA, needsB] = context.needs
    const saved: MatmulSaved = {
      problem,
      a: needsB ? a : undefined,
      b: needsA ? b : undefined,
      aShape: a.shape,
      bShape: b.shape,
    }
    return { y, saved }
  },

  backward(context, dy, saved) {
    const [needsA, needsB] = context.needs
    return [
      needsA ? gradientOfA(context, dy, saved) : undefined,
      needsB ? gradientOfB(context, dy, saved) : undefined,
    ]
  },
})

type Last<S extends Shape> = S extends readonly [...infer _, infer L extends number] ? L : number

/** K of a right operand: [K], or [..., K, N]. */
type Inner<B extends Shape> = B extends readonly [infer K extends number]
  ? K
  : B extends readonly [...unknown[], infer K extends number, number]
    ? K
    : number

/** The sizes where b has at most two axes; with more the batches broadcast, and only the run knows. */
type MatmulShape<A extends Shape, B extends Shape> = A extends readonly [
  ...infer Rows extends readonly number[],
  number,
]
  ? B extends readonly [number]
    ? readonly [...Rows]
    : B extends readonly [number, infer N extends number]
      ? readonly [...Rows, N]
      : Shape
  : Shape

/** `unknown` where the literal inner sizes fit, else a message in place of a type. */
type Fits<A extends Shape, B extends Shape> = number extends Inner<B> | Last<A>
  ? unknown
  : Inner<B> extends Last<A>
    ? unknown
    : `matmul: inner sizes differ: ${Last<A>} and ${Inner<B>}`

/**
 * The matrix product of a [..., M, K] and b [..., K, N]: [..., M, N]. One-dimensional operands are
 * taken as a row (a) or a column (b), as in `torch.matmul`, transposed or not. Throws a `shape` error.
 *
 * @example
 * ```ts
 * import { matmul, tensor } from 'lowrank'
 *
 * const y = matmul(tensor([1, 2, 3, 4], [2, 2]), tensor([1, 0, 0, 1], [2, 2]))
 * console.log(y.dataSync()) // Float32Array [1, 2, 3, 4]
 * ```
 */
export function matmul<A extends Shape, B extends Shape>(
  a: Tensor<A>,
  b: Tensor<B> & Fits<A, B>,
): Tensor<MatmulShape<A, B>>
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions): Tensor
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  if (a.shape.length > 1 && b.shape.length > 1) {
    return matmulOp([a, b], options)
  }
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw new LowrankError('shape', 'matmul: expected at least one axis, got a scalar')
  }
  const left = a.shape.length === 1 ? reshape(a, [1, a.shape[0]]) : a
  const right = b.shape.length === 1 ? reshape(b, [b.shape[0], 1]) : b
  const transposeA = options.transposeA && left === a
  const transposeB = options.transposeB && right === b
  const y = matmulOp([left, right], { transposeA, transposeB })
  const keepRow = a.shape.length > 1 ? y.shape.slice(0, -1) : y.shape.slice(0, -2)
  const shape = b.shape.length === 1 ? keepRow : [...keepRow, ...y.shape.slice(-1)]
  return reshape(y, shape)
}

// Convolution of images, as a product of the weight with the patches of the image (im2col):
//
//   y[b, o, r, s] = bias[o] + Σ_{c, i, j} weight[o, c, i, j] · x[b, c, r·sh − ph + i·dh, s·sw − pw + j·dw]
//   dx = weightᵀ dy, added up where patches overlap     dweight = Σ_b dy · patchesᵀ     dbias = Σ dy
//
// x [B, C, H, W] is zero outside, weight [O, C/groups, kh, kw]; with groups each part of the outputs
// sees its own part of the inputs. Source: Chellapilla, Puri, Simard, "High performance convolutional
// neural networks for document processing" (2006), section 3.

import { conv as binary } from '#kernels/conv'
import type { Floats } from '../core/backend.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import type { Tensor } from '../core/tensor.ts'
import { type ConvKernels, convReference, type PatchKernel } from './conv_reference.ts'
import { type Conv2dOptions, type ConvShape, convShape } from './conv_shape.ts'
import { MATMUL_SCRATCH, type MatmulKernels, matmulReference } from './matmul.ts'

export type { Conv2dOptions } from './conv_shape.ts'

type Kernels = ConvKernels & MatmulKernels

/** One product: a group of one image, some rows of its output. */
interface Part {
  /** Elements before the group's image, weight and first output row. */
  readonly image: number
  readonly weight: number
  readonly output: number
  readonly r0: number
  readonly rows: number
}

/** Rows of the output at a time so that their columns have at most this many elements, 4 MiB. */
const MOST_COLUMNS = 1048576

/** All products of a convolution, in the order in which gradients are added up. */
function partsOf(shape: ConvShape): { parts: Part[]; columns: number } {
  const { B, C, O, H, W, OH, OW, groups, depth } = shape
  const most = Math.max(1, Math.min(OH, Math.floor(MOST_COLUMNS / Math.max(1, depth * OW))))
  const parts: Part[] = []
  for (let b = 0; b < B; b++) {
    for (let g = 0; g < groups; g++) {
      for (let r0 = 0; r0 < OH; r0 += most) {
        parts.push({
          image: (b * C + (g * C) / groups) * H * W,
          weight: ((g * O) / groups) * depth,
          output: (b * O + (g * O) / groups) * OH * OW + r0 * OW,
          r0,
          rows: Math.min(most, OH - r0),
        })
      }
    }
  }
  return { parts, columns: depth * most * OW }
}

/** What all products of one call share. */
interface Work {
  readonly parts: readonly Part[]
  /** Room for the columns of one part. */
  readonly columns: Floats
  readonly scratch: Floats
}

function workOf(context: OpContext<Kernels>, shape: ConvShape): Work {
  const { parts, columns } = partsOf(shape)
  return {
    parts,
    columns: context.temporary(columns),
    scratch: context.scratch(MATMUL_SCRATCH),
  }
}

function patches(
  kernel: PatchKernel,
  image: Floats,
  columns: Floats,
  shape: ConvShape,
  { image: offset, r0, rows }: Part,
): void {
  const { C, groups, H, W, kernelSize, stride, padding, dilation, OW } = shape
  kernel(
    image,
    offset,
    columns,
    C / groups,
    H,
    W,
    ...kernelSize,
    ...stride,
    ...padding,
    ...dilation,
    r0,
    rows,
    OW,
  )
}

export interface Conv2dSaved {
  readonly x: Tensor
  readonly weight: Tensor
  readonly shape: ConvShape
}

function gradientOfX(
  context: OpContext<Kernels>,
  dy: Tensor,
  { x, weight, shape }: Conv2dSaved,
  { parts, columns, scratch }: Work,
): Tensor {
  const { O, groups, depth, OH, OW } = shape
  const dx = context.filled(x.shape, 0)
  const [upstream, w, target] = [context.floats(dy), context.floats(weight), context.floats(dx)]
  for (const part of parts) {
    const P = part.rows * OW
    context.kernels.matmul_tn(
      w,
      part.weight,
      depth,
      upstream,
      part.output,
      OH * OW,
      0,
      columns,
      0,
      P,
      depth,
      P,
      O / groups,
      1,
      0,
      scratch,
    )
    patches(context.kernels.col2im, target, columns, shape, part)
  }
  return dx
}

function gradientOfWeight(
  context: OpContext<Kernels>,
  dy: Tensor,
  { x, weight, shape }: Conv2dSaved,
  { parts, columns, scratch }: Work,
): Tensor {
  const { O, groups, depth, OH, OW } = shape
  const dweight = context.filled(weight.shape, 0)
  const [upstream, image, target] = [context.floats(dy), context.floats(x), context.floats(dweight)]
  for (const part of parts) {
    const P = part.rows * OW
    patches(context.kernels.im2col, image, columns, shape, part)
    context.kernels.matmul_nt(
      upstream,
      part.output,
      OH * OW,
      columns,
      0,
      P,
      0,
      target,
      part.weight,
      depth,
      O / groups,
      depth,
      P,
      1,
      1,
      scratch,
    )
  }
  return dweight
}

function gradientOfBias(context: OpContext<Kernels>, dy: Tensor, shape: ConvShape): Tensor {
  const { B, O, OH, OW } = shape
  const dbias = context.empty([O])
  context.kernels.sum_channels(context.floats(dy), context.floats(dbias), B, O, OH * OW)
  return dbias
}

export const conv2dOp: Op<
  Kernels,
  readonly [x: Tensor, weight: Tensor, bias: Tensor | undefined],
  Conv2dOptions,
  Tensor,
  Conv2dSaved
> = /* @__PURE__ */ defineOp({
  name: 'conv2d',
  reference: /* @__PURE__ */ Object.assign({}, convReference, matmulReference),
  binary,

  forward(context, [x, weight, bias], options) {
    const shape = convShape(x, weight, bias, options)
    const { B, O, groups, depth, OH, OW } = shape
    const y = context.empty([B, O, OH, OW])
    const { parts, columns, scratch } = workOf(context, shape)
    const [image, w, target] = [context.floats(x), context.floats(weight), context.floats(y)]
    if (bias) {
      context.kernels.fill_channels(context.floats(bias), target, B, O, OH * OW)
    }
    for (const part of parts) {
      const P = part.rows * OW
      patches(context.kernels.im2col, image, columns, shape, part)
      context.kernels.matmul_nn(
        w,
        part.weight,
        depth,
        columns,
        0,
        P,
        0,
        target,
        part.output,
        OH * OW,
        O / groups,
        P,
        depth,
        1,
        bias ? 1 : 0,
        scratch,
      )
    }
    return { y, saved: { x, weight, shape } }
  },

  backward(context, dy, saved) {
    const [needsX, needsWeight, needsBias] = context.needs
    const work = workOf(context, saved.shape)
    return [
      needsX ? gradientOfX(context, dy, saved, work) : undefined,
      needsWeight ? gradientOfWeight(context, dy, saved, work) : undefined,
      needsBias ? gradientOfBias(context, dy, saved.shape) : undefined,
    ]
  },
})

/**
 * The convolution of x [B, C, H, W] with weight [O, C/groups, kh, kw], plus bias [O]:
 * [B, O, OH, OW], OH = ⌊(H + 2·padding − dilation·(kh − 1) − 1) / stride⌋ + 1. Throws `shape` and
 * `argument` errors.
 *
 * @example
 * ```ts
 * import { conv2d, tensor } from 'lowrank'
 *
 * const x = tensor([1, 2, 3, 4], [1, 1, 2, 2])
 * const y = conv2d(x, tensor([1, 1, 1, 1], [1, 1, 2, 2]), undefined, { padding: 1 })
 * console.log(y.shape, y.dataSync()[4]) // [1, 1, 3, 3] 10
 * ```
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: Conv2dOptions = {},
): Tensor {
  return conv2dOp([x, weight, bias], options)
}

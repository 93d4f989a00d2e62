// Layer normalisation over the last `axes` axes, C elements a row:
//
//   y = (x − mean) · r · weight + bias      r = 1 / √(variance + eps)      g = dy · weight
//   h = (x − mean) · r                      dx = r · (g − mean(g) − h · mean(g · h))
//   dweight = Σ_rows dy · h                 dbias = Σ_rows dy
//
// The variance is the biased one. Saved: x, mean and r. Source: Ba, Kiros, Hinton, "Layer
// normalization" (arXiv 1607.06450), equation 4.

import { layer_norm as binary } from '#kernels/layer_norm'
import type { Floats } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import { countOf, formatShape, type Shape, sameShape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { linearReference } from './linear_reference.ts'

export interface LayerNormKernels {
  /** y [rows, cols], mean [rows] and rstd [rows]. */
  layer_norm(
    x: Floats,
    weight: Floats,
    hasWeight: number,
    bias: Floats,
    hasBias: number,
    y: Floats,
    mean: Floats,
    rstd: Floats,
    rows: number,
    cols: number,
    eps: number,
  ): void
  layer_norm_dx(
    dy: Floats,
    x: Floats,
    weight: Floats,
    hasWeight: number,
    mean: Floats,
    rstd: Floats,
    dx: Floats,
    rows: number,
    cols: number,
  ): void
  /** dweight [cols]; scratch: 3 · cols floats. */
  layer_norm_dweight(
    dy: Floats,
    x: Floats,
    mean: Floats,
    rstd: Floats,
    dweight: Floats,
    rows: number,
    cols: number,
    scratch: Floats,
  ): void
  /** dbias [cols]. */
  sum_rows(dy: Floats, dbias: Floats, rows: number, cols: number): void
}

export const layerNormReference: LayerNormKernels = {
  layer_norm(x, weight, hasWeight, bias, hasBias, y, mean, rstd, rows, cols, eps) {
    for (let row = 0; row < rows; row++) {
      const start = row * cols
      let sum = 0
      for (let j = 0; j < cols; j++) {
        sum += x[start + j]
      }
      mean[row] = sum / cols
      let squares = 0
      for (let j = 0; j < cols; j++) {
        const deviation = x[start + j] - mean[row]
        squares += deviation * deviation
      }
      rstd[row] = 1 / Math.sqrt(squares / cols + eps)
      for (let j = 0; j < cols; j++) {
        const normal = (x[start + j] - mean[row]) * rstd[row]
        y[start + j] = normal * (hasWeight ? weight[j] : 1) + (hasBias ? bias[j] : 0)
      }
    }
  },

  layer_norm_dx(dy, x, weight, hasWeight, mean, rstd, dx, rows, cols) {
    for (let row = 0; row < rows; row++) {
      const start = row * cols
      const r = rstd[row]
      const g = (j: number): number => dy[start + j] * (hasWeight ? weight[j] : 1)
      const h = (j: number): number => (x[start + j] - mean[row]) * r
      let gSum = 0
      let along = 0
      for (let j = 0; j < cols; j++) {
        gSum += g(j)
        along += g(j) * h(j)
      }
      for (let j = 0; j < cols; j++) {
        dx[start + j] = r * (g(j) - gSum / cols - (h(j) * along) / cols)
      }
    }
  },

  layer_norm_dweight(dy, x, mean, rstd, dweight, rows, cols) {
    for (let j = 0; j < cols; j++) {
      dweight[j] = 0
      for (let row = 0; row < rows; row++) {
        dweight[j] += dy[row * cols + j] * (x[row * cols + j] - mean[row]) * rstd[row]
      }
    }
  },

  sum_rows(dy, dbias, rows, cols) {
    linearReference.sum_rows(dy, dbias, rows, cols)
  },
}

export interface LayerNormOptions {
  /** Added to the variance; 1e-5 if absent. */
  readonly eps?: number
  /** How many of the last axes are normalised together; 1 if absent. */
  readonly axes?: number
}

export interface LayerNormSaved {
  readonly x: Tensor
  readonly weight: Tensor | undefined
  readonly mean: Tensor
  readonly rstd: Tensor
  /** The last axes, those that are normalised. */
  readonly normalized: Shape
}

function normalizedShape(x: Tensor, axes: number): Shape {
  if (!Number.isInteger(axes) || axes < 1 || axes > x.shape.length) {
    throw new LowrankError(
      'argument',
      `layerNorm: axes must be from 1 to ${x.shape.length} for x ${formatShape(x.shape)}, got ${axes}`,
    )
  }
  return x.shape.slice(-axes)
}

function checkOperand(name: string, operand: Tensor | undefined, normalized: Shape): void {
  if (operand && !sameShape(operand.shape, normalized)) {
    throw new LowrankError(
      'shape',
      `layerNorm: ${name}: expected ${formatShape(normalized)}, got ${formatShape(operand.shape)}`,
    )
  }
}

/** Counts of rows and of elements in a row; no elements are no rows. */
function rowsOf(x: Tensor, normalized: Shape): { rows: number; cols: number } {
  const cols = countOf(normalized)
  return { rows: cols === 0 ? 0 : x.size / cols, cols }
}

function gradientOfX(
  context: OpContext<LayerNormKernels>,
  dy: Tensor,
  { x, weight, mean, rstd, normalized }: LayerNormSaved,
): Tensor {
  const { rows, cols } = rowsOf(x, normalized)
  const dx = context.empty(x.shape)
  const from = context.floats(x)
  context.kernels.layer_norm_dx(
    context.floats(dy),
    from,
    weight ? context.floats(weight) : from,
    weight ? 1 : 0,
    context.floats(mean),
    context.floats(rstd),
    context.floats(dx),
    rows,
    cols,
  )
  return dx
}

function gradientOfWeight(
  context: OpContext<LayerNormKernels>,
  dy: Tensor,
  { x, mean, rstd, normalized }: LayerNormSaved,
): Tensor {
  const { rows, cols } = rowsOf(x, normalized)
  const dweight = context.empty(normalized)
  context.kernels.layer_norm_dweight(
    context.floats(dy),
    context.floats(x),
    context.floats(mean),
    context.floats(rstd),
    context.floats(dweight),
    rows,
    cols,
    context.scratch(3 * cols),
  )
  return dweight
}

function gradientOfBias(
  context: OpContext<LayerNormKernels>,
  dy: Tensor,
  { x, normalized }: LayerNormSaved,
): Tensor {
  const { rows, cols } = rowsOf(x, normalized)
  const dbias = context.empty(normalized)
  context.kernels.sum_rows(context.floats(dy), context.floats(dbias), rows, cols)
  return dbias
}

export const layerNormOp: Op<
  LayerNormKernels,
  readonly [x: Tensor, weight: Tensor | undefined, bias: Tensor | undefined],
  LayerNormOptions,
  Tensor,
  LayerNormSaved
> = /* @__PURE__ */ defineOp({
  name: 'layerNorm',
  reference: layerNormReference,
  binary,

  forward(context, [x, weight, bias], { eps = 1e-5, axes = 1 }) {
    const normalized = normalizedShape(x, axes)
    checkOperand('weight', weight, normalized)
    checkOperand('bias', bias, normalized)
    const { rows, cols } = rowsOf(x, normalized)
    const y = context.empty(x.shape)
    const mean = context.empty([rows])
    const rstd = context.empty([rows])
    const from = context.floats(x)
    context.kernels.layer_norm(
      from,
      weight ? context.floats(weight) : from,
      weight ? 1 : 0,
      bias ? context.floats(bias) : from,
      bias ? 1 : 0,
      context.floats(y),
      context.floats(mean),
      context.floats(rstd),
      rows,
      cols,
      eps,
    )
    return { y, saved: { x, weight, mean, rstd, normalized } }
  },

  backward(context, dy, saved) {
    const [needsX, needsWeight, needsBias] = context.needs
    return [
      needsX ? gradientOfX(context, dy, saved) : undefined,
      needsWeight ? gradientOfWeight(context, dy, saved) : undefined,
      needsBias ? gradientOfBias(context, dy, saved) : undefined,
    ]
  },
})

/**
 * x with its last `axes` axes brought to mean 0 and variance 1, times weight, plus bias (both of the
 * shape of those axes). Throws `argument` and `shape` errors. Source: arXiv 1607.06450.
 *
 * @example
 * ```ts
 * import { layerNorm, tensor } from 'lowrank'
 *
 * const y = layerNorm(tensor([1, 3], [1, 2]), undefined, undefined, { eps: 0 })
 * console.log(y.dataSync()) // Float32Array [-1, 1]
 * ```
 */
export function layerNorm(
  x: Tensor,
  weight?: Tensor,
  bias?: Tensor,
  options: LayerNormOptions = {},
): Tensor {
  return layerNormOp([x, weight, bias], options)
}

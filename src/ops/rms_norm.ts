// Root mean square normalisation over the last axis: y[…, C] = x[…, C] · r · (offset + weight[C]),
//
//   r = 1 / √(mean(x²) + eps), one per row      g = dy · (offset + weight)
//   dx = r · (g − x · r² · mean(g · x))         dweight = Σ_rows dy · x · r
//
// Gemma stores weight − 1: offset 1. Saved: x and r. Source: Zhang and Sennrich, "Root mean square
// layer normalization" (arXiv 1910.07467), equation 4.

import { transformer as binary } from '#kernels/transformer'
import type { Floats } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { defineOp, type Op } from '../core/op.ts'
import type { Tensor } from '../core/tensor.ts'

export interface RmsNormKernels {
  /** y [rows, cols] and rstd [rows]. */
  rms_norm(
    x: Floats,
    weight: Floats,
    hasWeight: number,
    y: Floats,
    rstd: Floats,
    rows: number,
    cols: number,
    eps: number,
    offset: number,
  ): void
  rms_norm_dx(
    dy: Floats,
    x: Floats,
    weight: Floats,
    hasWeight: number,
    rstd: Floats,
    dx: Floats,
    rows: number,
    cols: number,
    offset: number,
  ): void
  /** dweight [cols]; scratch: 3 · cols floats. */
  rms_norm_dweight(
    dy: Floats,
    x: Floats,
    rstd: Floats,
    dweight: Floats,
    rows: number,
    cols: number,
    scratch: Floats,
  ): void
}

export const rmsNormReference: RmsNormKernels = {
  rms_norm(x, weight, hasWeight, y, rstd, rows, cols, eps, offset) {
    for (let row = 0; row < rows; row++) {
      const start = row * cols
      let squares = 0
      for (let j = 0; j < cols; j++) {
        squares += x[start + j] * x[start + j]
      }
      rstd[row] = 1 / Math.sqrt(squares / cols + eps)
      for (let j = 0; j < cols; j++) {
        y[start + j] = x[start + j] * rstd[row] * (hasWeight ? offset + weight[j] : 1)
      }
    }
  },

  rms_norm_dx(dy, x, weight, hasWeight, rstd, dx, rows, cols, offset) {
    for (let row = 0; row < rows; row++) {
      const start = row * cols
      const r = rstd[row]
      const g = (j: number): number => dy[start + j] * (hasWeight ? offset + weight[j] : 1)
      let along = 0
      for (let j = 0; j < cols; j++) {
        along += g(j) * x[start + j]
      }
      for (let j = 0; j < cols; j++) {
        dx[start + j] = r * (g(j) - x[start + j] * r * r * (along / cols))
      }
    }
  },

  rms_norm_dweight(dy, x, rstd, dweight, rows, cols) {
    for (let j = 0; j < cols; j++) {
      dweight[j] = 0
      for (let row = 0; row < rows; row++) {
        dweight[j] += dy[row * cols + j] * x[row * cols + j] * rstd[row]
      }
    }
  },
}

export interface RmsNormOptions {
  /** Added to the mean square; 1e-6 if absent. */
  readonly eps?: number
  /** Added to the weight; 0 if absent. */
  readonly offset?: number
}

export interface RmsNormSaved {
  readonly x: Tensor
  readonly weight: Tensor | undefined
  readonly rstd: Tensor
  readonly offset: number
}

export const rmsNormOp: Op<
  RmsNormKernels,
  readonly [x: Tensor, weight: Tensor | undefined],
  RmsNormOptions,
  Tensor,
  RmsNormSaved
> = /* @__PURE__ */ defineOp({
  name: 'rmsNorm',
  reference: rmsNormReference,
  binary,

  forward(context, [x, weight], { eps = 1e-6, offset = 0 }) {
    const { rows, C } = dims('rmsNorm: x', x, '...rows C')
    if (weight) {
      dims('rmsNorm: weight', weight, 'C', { C })
    }
    const y = context.empty(x.shape)
    const rstd = context.empty([rows])
    const from = context.floats(x)
    context.kernels.rms_norm(
      from,
      weight ? context.floats(weight) : from,
      weight ? 1 : 0,
      context.floats(y),
      context.floats(rstd),
      rows,
      C,
      eps,
      offset,
    )
    return { y, saved: { x, weight, rstd, offset } }
  },

  backward(context, dy, { x, weight, rstd, offset }) {
    const [needsX, needsWeight] = context.needs
    const { rows, C } = dims('rmsNorm: x', x, '...rows C')
    const operands = [context.floats(dy), context.floats(x), context.floats(rstd)] as const
    const [upstream, from, factors] = operands
    let dx: Tensor | undefined
    if (needsX) {
      dx = context.empty(x.shape)
      context.kernels.rms_norm_dx(
        upstream,
        from,
        weight ? context.floats(weight) : from,
        weight ? 1 : 0,
        factors,
        context.floats(dx),
        rows,
        C,
        offset,
      )
    }
    let dweight: Tensor | undefined
    if (needsWeight) {
      dweight = context.empty([C])
      const target = context.floats(dweight)
      const scratch = context.scratch(3 * C)
      context.kernels.rms_norm_dweight(upstream, from, factors, target, rows, C, scratch)
    }
    return [dx, dweight]
  },
})

/**
 * x [..., C] divided by its root mean square over C, times `offset + weight` [C]. Throws a `shape`
 * error if the weight does not fit. Source: arXiv 1910.07467.
 *
 * @example
 * ```ts
 * import { rmsNorm, tensor } from 'lowrank'
 *
 * const y = rmsNorm(tensor([3, 4], [1, 2]), tensor([1, 2], [2]), { eps: 0 })
 * console.log(y.dataSync()) // Float32Array [0.8485281467437744, 2.262741804122925]
 * ```
 */
export function rmsNorm(x: Tensor, weight?: Tensor, options: RmsNormOptions = {}): Tensor {
  return rmsNormOp([x, weight], options)
}

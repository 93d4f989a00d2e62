// Adafactor, for a parameter [batch, rows, cols] (a vector is [1, 1, n], not factored: R / mean R
// is 1):
//   w = t^decay,  R = (1 − w)R + w·(mean over cols of g² + ε₁),  C likewise over rows
//   u = g / √max(R/max(mean R, floor) · C, floor²),   α = rate·max(ε₂, RMS p)
//   p = p·(1 − decay) − α / max(1, RMS u / threshold)·u
// PyTorch has ε₁ = 0 and a floor, transformers an ε₁ and no floor; the rest they share.
// Source: Shazeer, Stern, "Adafactor: adaptive learning rates with sublinear memory cost"
// (arXiv 1804.04235), algorithm 4; torch.optim.Adafactor, transformers.optimization.Adafactor.
//
//   clock   0 step count t, 1 w, 2 α, 3 α / max(1, RMS u / threshold)

import { adafactor as binary } from '#kernels/adafactor'
import type { Floats, KernelSet } from '../core/backend.ts'
import { pow } from '../core/math.ts'
import { CLOCK_SIZE, FACTOR, gradientFactor, refused } from './control.ts'

export interface AdafactorKernels {
  adafactor_advance(
    clocks: Floats,
    first: number,
    count: number,
    control: Floats,
    decay: number,
  ): void
  /** The row factor [count] of a gradient [count, cols]. */
  adafactor_rows(
    g: Floats,
    row: Floats,
    count: number,
    cols: number,
    clocks: Floats,
    index: number,
    control: Floats,
    epsilon: number,
  ): void
  /** The column factor [batch, cols]; `scratch` has 2·cols elements. */
  adafactor_columns(
    g: Floats,
    col: Floats,
    batch: number,
    rows: number,
    cols: number,
    clocks: Floats,
    index: number,
    control: Floats,
    epsilon: number,
    scratch: Floats,
  ): void
  /** α and the step size; `relative` is 0 for lr, 1 for min(lr, 1/√t), 2 for min(lr·t, 1/√t). */
  adafactor_scale(
    p: Floats,
    g: Floats,
    row: Floats,
    col: Floats,
    factored: number,
    batch: number,
    rows: number,
    cols: number,
    clocks: Floats,
    index: number,
    control: Floats,
    lr: number,
    relative: number,
    scaled: number,
    epsilon: number,
    floor: number,
    threshold: number,
  ): void
  /** p, and with `averaged` the mean m of its updates; its decay is decay + relativeDecay·α. */
  adafactor_apply(
    p: Floats,
    g: Floats,
    row: Floats,
    col: Floats,
    m: Floats,
    factored: number,
    batch: number,
    rows: number,
    cols: number,
    clocks: Floats,
    index: number,
    control: Floats,
    averaged: number,
    beta1: number,
    decay: number,
    relativeDecay: number,
    floor: number,
    maximize: number,
  ): void
}

function rateAt(t: number, lr: number, relative: number): number {
  if (relative === 0) {
    return lr
  }
  return Math.min(relative === 1 ? lr : lr * t, 1 / Math.sqrt(t))
}

/** max(mean of R, floor) of one matrix of the batch. */
function meanRow(row: Floats, batch: number, rows: number, floor: number): number {
  let sum = 0
  for (let i = 0; i < rows; i++) {
    sum += row[batch * rows + i]
  }
  return Math.max(sum / rows, floor)
}

/** Calls `visit` with every element's place and its u. */
function visitUpdates(
  factor: number,
  g: Floats,
  row: Floats,
  col: Floats,
  factored: number,
  [batch, rows, cols]: readonly [number, number, number],
  floor: number,
  visit: (at: number, u: number) => void,
): void {
  for (let b = 0; b < batch; b++) {
    const mean = factored ? meanRow(row, b, rows, floor) : 1
    for (let i = b * rows; i < (b + 1) * rows; i++) {
      for (let j = 0; j < cols; j++) {
        const variance = (factored ? row[i] / mean : 1) * col[b * cols + j]
        const at = i * cols + j
        visit(at, (factor * g[at]) / Math.sqrt(Math.max(variance, floor * floor)))
      }
    }
  }
}

export const adafactorKernels: KernelSet<AdafactorKernels> = {
  name: 'Adafactor',
  binary,
  reference: {
    adafactor_advance(clocks, first, count, control, decay) {
      for (let i = first; i < first + count && !refused(control); i++) {
        clocks[i * CLOCK_SIZE] += 1
        clocks[i * CLOCK_SIZE + 1] = pow(clocks[i * CLOCK_SIZE], decay)
      }
    },

    adafactor_rows(g, row, count, cols, clocks, index, control, epsilon) {
      const weight = clocks[index * CLOCK_SIZE + 1]
      for (let i = 0; i < count && !refused(control); i++) {
        let sum = 0
        for (let j = 0; j < cols; j++) {
          const gradient = control[FACTOR] * g[i * cols + j]
          sum += gradient * gradient
        }
        row[i] = (1 - weight) * row[i] + weight * (sum / Math.max(1, cols) + epsilon)
      }
    },

    adafactor_columns(g, col, batch, rows, cols, clocks, index, control, epsilon) {
      const weight = clocks[index * CLOCK_SIZE + 1]
      for (let c = 0; c < batch * cols && !refused(control); c++) {
        const first = Math.floor(c / cols) * rows * cols + (c % cols)
        let sum = 0
        for (let i = 0; i < rows; i++) {
          const gradient = control[FACTOR] * g[first + i * cols]
          sum += gradient * gradient
        }
        col[c] = (1 - weight) * col[c] + weight * (sum / Math.max(1, rows) + epsilon)
      }
    },

    adafactor_scale(
      p,
      g,
      row,
      col,
      factored,
      batch,
      rows,
      cols,
      clocks,
      index,
      control,
      lr,
      relative,
      scaled,
      epsilon,
      floor,
      threshold,
    ) {
      const n = batch * rows * cols
      if (refused(control) || n === 0) {
        return
      }
      const clock = index * CLOCK_SIZE
      let squares = 0
      for (let i = 0; i < n; i++) {
        squares += p[i] * p[i]
      }
      const size = scaled ? Math.max(epsilon, Math.sqrt(squares / n)) : 1
      const alpha = size * rateAt(clocks[clock], lr, relative)
      let updates = 0
      visitUpdates(control[FACTOR], g, row, col, factored, [batch, rows, cols], floor, (_, u) => {
        updates += u * u
      })
      clocks[clock + 2] = alpha
      clocks[clock + 3] = alpha / Math.max(1, Math.sqrt(updates / n) / threshold)
    },

    adafactor_apply(
      p,
      g,
      row,
      col,
      m,
      factored,
      batch,
      rows,
      cols,
      clocks,
      index,
      control,
      averaged,
      beta1,
      decay,
      relativeDecay,
      floor,
      maximize,
    ) {
      if (refused(control)) {
        return
      }
      const clock = index * CLOCK_SIZE
      const kept = 1 - (decay + relativeDecay * clocks[clock + 2])
      const factor = gradientFactor(control, maximize)
      visitUpdates(factor, g, row, col, factored, [batch, rows, cols], floor, (at, u) => {
        let change = clocks[clock + 3] * u
        if (averaged) {
          change = beta1 * m[at] + (1 - beta1) * change
          m[at] = change
        }
        p[at] = kept * p[at] - change
      })
    },
  },
}

// Cross-entropy of a chunk of rows, the logits of which are all there is at a time: the loops of
// cross_entropy.ts from row `start` on, and what a chunk cannot know of the others.

import type { Floats, Ints } from '../core/backend.ts'
import { crossEntropyReference } from './cross_entropy.ts'

export interface ChunkKernels {
  /** weights [rows] = w[t], 0 in ignored rows; weight is [V], or one number with step 0. */
  readonly class_weights: (
    target: Ints,
    weight: Floats,
    weightStep: number,
    weights: Floats,
    rows: number,
    ignoreIndex: number,
  ) => void
  /** `cross_entropy` of rows from `start` on: logits and normalizers are the chunk's, the rest all rows'. */
  readonly cross_entropy_chunk: (
    logits: Floats,
    target: Ints,
    weight: Floats,
    weightStep: number,
    losses: Floats,
    weights: Floats,
    normalizers: Floats,
    start: number,
    rows: number,
    classes: number,
    ignoreIndex: number,
    smoothing: number,
  ) => void
  /** `cross_entropy_backward` of rows from `start` on, over their logits. */
  readonly cross_entropy_chunk_backward: (
    logits: Floats,
    target: Ints,
    weight: Floats,
    weightStep: number,
    normalizers: Floats,
    dy: Floats,
    dyStep: number,
    divisor: Floats,
    start: number,
    rows: number,
    classes: number,
    ignoreIndex: number,
    smoothing: number,
  ) => void
  /** y [n] = x·factor[0]; y may be x. */
  readonly scale: (x: Floats, factor: Floats, y: Floats, n: number) => void
}

/** Elements `start` to `start + count` as an array that loops may index from 0. */
function part(x: Floats, start: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => x[start + i])
}

export const chunkReference: ChunkKernels = {
  class_weights(target, weight, weightStep, weights, rows, ignoreIndex) {
    for (let r = 0; r < rows; r++) {
      weights[r] = target[r] === ignoreIndex ? 0 : weight[target[r] * weightStep]
    }
  },

  cross_entropy_chunk(
    logits,
    target,
    weight,
    weightStep,
    losses,
    weights,
    normalizers,
    start,
    rows,
    ...settings
  ) {
    const [own, chunk] = [new Float64Array(rows), new Float64Array(rows)]
    crossEntropyReference.cross_entropy(
      logits,
      part(target, start, rows),
      weight,
      weightStep,
      chunk,
      own,
      normalizers,
      rows,
      ...settings,
    )
    for (let r = 0; r < rows; r++) {
      losses[start + r] = chunk[r]
      weights[start + r] = own[r]
    }
  },

  cross_entropy_chunk_backward(
    logits,
    target,
    weight,
    weightStep,
    normalizers,
    dy,
    dyStep,
    divisor,
    start,
    rows,
    ...settings
  ) {
    crossEntropyReference.cross_entropy_backward(
      logits,
      part(target, start, rows),
      weight,
      weightStep,
      normalizers,
      part(dy, start * dyStep, dyStep ? rows : 1),
      dyStep,
      divisor,
      logits,
      rows,
      ...settings,
    )
  },

  scale(x, factor, y, n) {
    for (let i = 0; i < n; i++) {
      y[i] = x[i] * factor[0]
    }
  },
}

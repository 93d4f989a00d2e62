// What the cross-entropy of a linear layer needs where its rows are computed in chunks:
//   class_weights   weights[r] = w[t[r]] of all rows before the first logit, 0 for the ignored class
//   cross_entropy_chunk, cross_entropy_chunk_backward   rows start … start + rows of cross_entropy.ts
//   scale           y = x · factor, the gradient by an upstream one that is known last

import { load_first, store_first } from '../core/lanes'
import { cross_entropy, cross_entropy_backward } from './cross_entropy'

/** weights [rows]; `weight` is [V] with weightStep 1, or one number with 0. */
export function class_weights(
  target: usize,
  weight: usize,
  weightStep: i32,
  weights: usize,
  rows: i32,
  ignoreIndex: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const index = load<i32>(target)
    let own: f32 = 0
    if (index != ignoreIndex) {
      own = load<f32>(weight + (<usize>(index * weightStep) << 2))
    }
    store<f32>(weights, own)
    target += 4
    weights += 4
  }
}

/** logits and normalizers are those of the chunk, target, losses and weights those of all rows. */
export function cross_entropy_chunk(
  logits: usize,
  target: usize,
  weight: usize,
  weightStep: i32,
  losses: usize,
  weights: usize,
  normalizers: usize,
  start: i32,
  rows: i32,
  classes: i32,
  ignoreIndex: i32,
  smoothing: f64,
): void {
  const at = <usize>start << 2
  cross_entropy(
    logits,
    target + at,
    weight,
    weightStep,
    losses + at,
    weights + at,
    normalizers,
    rows,
    classes,
    ignoreIndex,
    smoothing,
  )
}

/** The gradient of the logits of a chunk, in their place; dy is that of all rows. */
export function cross_entropy_chunk_backward(
  logits: usize,
  target: usize,
  weight: usize,
  weightStep: i32,
  normalizers: usize,
  dy: usize,
  dyStep: i32,
  divisor: usize,
  start: i32,
  rows: i32,
  classes: i32,
  ignoreIndex: i32,
  smoothing: f64,
): void {
  cross_entropy_backward(
    logits,
    target + (<usize>start << 2),
    weight,
    weightStep,
    normalizers,
    dy + (<usize>(start * dyStep) << 2),
    dyStep,
    divisor,
    logits,
    rows,
    classes,
    ignoreIndex,
    smoothing,
  )
}

/** y [n] = x · factor[0]; y may be x. */
export function scale(x: usize, factor: usize, y: usize, n: i32): void {
  const by = v128.load32_splat(factor)
  let left = n
  for (; left >= 4; left -= 4, x += 16, y += 16) {
    v128.store(y, f32x4.mul(v128.load(x), by))
  }
  if (left > 0) {
    store_first(y, f32x4.mul(load_first(x, left), by), left)
  }
}

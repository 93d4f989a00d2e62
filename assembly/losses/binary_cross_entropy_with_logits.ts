// Elements of the binary cross-entropy of logits x, broadcast (see ../core/broadcast.ts), p being the
// weight of positive answers:
//   y  = (1 − t) s(x) + p t s(−x),       s(x) = log(1 + e^x) = max(x, 0) + log(1 + e^−|x|)
//   dx = dy ((1 − t) σ(x) − p t σ(−x)),  dt = dy (p s(−x) − s(x))
// No term cancels another where x is large.

import { broadcast3, broadcast4 } from '../core/broadcast'
import { exp_f32x4, log_f32x4, sigmoid_f32x4 } from '../core/math'

/**
 * log(1 + z) for 0 ≤ z ≤ 1: the rounding error of 1 + z cancels in the ratio. Source: Goldberg, ACM
 * Computing Surveys 23 (1991), theorem 4.
 */
@inline
function log1p(z: v128): v128 {
  const one = f32x4.splat(1)
  const sum = f32x4.add(one, z)
  const rounded = f32x4.sub(sum, one)
  const y = f32x4.div(f32x4.mul(z, log_f32x4(sum)), rounded)
  return v128.bitselect(z, y, f32x4.eq(rounded, f32x4.splat(0)))
}

/** log(1 + e^−|x|) */
@inline
function excess(x: v128): v128 {
  return log1p(exp_f32x4(f32x4.neg(f32x4.abs(x))))
}

@inline
function softplus(x: v128, rest: v128): v128 {
  return f32x4.add(f32x4.max(x, f32x4.splat(0)), rest)
}

class CrossEntropy {
  @inline of(x: v128, t: v128, p: v128): v128 {
    const rest = excess(x)
    const negative = f32x4.mul(f32x4.sub(f32x4.splat(1), t), softplus(x, rest))
    const positive = f32x4.mul(f32x4.mul(p, t), softplus(f32x4.neg(x), rest))
    return f32x4.add(negative, positive)
  }
}

class CrossEntropyBackward {
  @inline of(dy: v128, x: v128, t: v128, p: v128): v128 {
    const negative = f32x4.mul(f32x4.sub(f32x4.splat(1), t), sigmoid_f32x4(x))
    const positive = f32x4.mul(f32x4.mul(p, t), sigmoid_f32x4(f32x4.neg(x)))
    return f32x4.mul(dy, f32x4.sub(negative, positive))
  }
}

class CrossEntropyBackwardTarget {
  @inline of(dy: v128, x: v128, p: v128): v128 {
    const rest = excess(x)
    const positive = f32x4.mul(p, softplus(f32x4.neg(x), rest))
    return f32x4.mul(dy, f32x4.sub(positive, softplus(x, rest)))
  }
}

export function binary_cross_entropy_with_logits(
  x: usize,
  xOffset: i32,
  xRow: i32,
  xCol: i32,
  t: usize,
  tOffset: i32,
  tRow: i32,
  tCol: i32,
  p: usize,
  pOffset: i32,
  pRow: i32,
  pCol: i32,
  y: usize,
  yOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<CrossEntropy>(x, xOffset, xRow, xCol, t, tOffset, tRow, tCol, p, pOffset, pRow, pCol, y, yOffset, rows, cols)
}

export function binary_cross_entropy_with_logits_backward(
  dy: usize,
  dyOffset: i32,
  dyRow: i32,
  dyCol: i32,
  x: usize,
  xOffset: i32,
  xRow: i32,
  xCol: i32,
  t: usize,
  tOffset: i32,
  tRow: i32,
  tCol: i32,
  p: usize,
  pOffset: i32,
  pRow: i32,
  pCol: i32,
  dx: usize,
  dxOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast4<CrossEntropyBackward>(dy, dyOffset, dyRow, dyCol, x, xOffset, xRow, xCol, t, tOffset, tRow, tCol, p, pOffset, pRow, pCol, dx, dxOffset, rows, cols)
}

export function binary_cross_entropy_with_logits_backward_target(
  dy: usize,
  dyOffset: i32,
  dyRow: i32,
  dyCol: i32,
  x: usize,
  xOffset: i32,
  xRow: i32,
  xCol: i32,
  p: usize,
  pOffset: i32,
  pRow: i32,
  pCol: i32,
  dt: usize,
  dtOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<CrossEntropyBackwardTarget>(dy, dyOffset, dyRow, dyCol, x, xOffset, xRow, xCol, p, pOffset, pRow, pCol, dt, dtOffset, rows, cols)
}

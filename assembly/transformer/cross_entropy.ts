// Cross-entropy of rows of logits x [rows, V] with classes t [rows], weights w [V] and smoothing s:
//   loss = (1 − s) w[t] (L − x[t]) + s/V Σ_c w[c] (L − x[c]),   L = m + log Z, Z = Σ e^(x − m), m = max x
//   dx[c] = g ((A / Z) e^(x[c] − m) − s/V w[c] − (1 − s) w[t] [c = t]),   A = (1 − s) w[t] + s/V Σ w
// A row whose class is the ignored one has loss 0, weight 0 and gradient 0. m and Z are kept apart:
// their sum in one float would lose what tells a large logit's neighbours from each other.

import { exp_nonpositive, exp_sum, log_of } from '../core/exponentials'
import { load_first, store_first } from '../core/lanes'
import { high, low, row_max, row_sum, total } from '../core/rows'

@inline
function load_weights(weight: usize, weightStep: i32, left: i32): v128 {
  return weightStep ? load_first(weight, left) : v128.load32_splat(weight)
}

/** Σ w (shift − x) over n classes. */
function weighted_distance(x: usize, weight: usize, weightStep: i32, n: i32, shift: f32): f64 {
  const shifts = f32x4.splat(shift)
  let a = f64x2.splat(0)
  let b = a
  let left = n
  for (; left >= 4; left -= 4, x += 16) {
    const w = load_weights(weight, weightStep, left)
    const v = f32x4.mul(w, f32x4.sub(shifts, v128.load(x)))
    a = f64x2.add(a, low(v))
    b = f64x2.add(b, high(v))
    weight += <usize>weightStep << 4
  }
  let sum = total(a, b)
  for (; left > 0; left--, x += 4) {
    sum += <f64>(load<f32>(weight) * (shift - load<f32>(x)))
    weight += <usize>weightStep << 2
  }
  return sum
}

@inline
function weight_sum(weight: usize, weightStep: i32, classes: i32): f64 {
  return weightStep ? row_sum(weight, classes) : <f64>classes * <f64>load<f32>(weight)
}

@inline
function weight_of(weight: usize, weightStep: i32, index: i32): f64 {
  return <f64>load<f32>(weight + (<usize>(index * weightStep) << 2))
}

/**
 * losses [rows], weights [rows] = w[t], normalizers [rows, 2] = (m, Z). `weight` is [V] with weightStep
 * 1, or one number with 0.
 */
export function cross_entropy(
  logits: usize,
  target: usize,
  weight: usize,
  weightStep: i32,
  losses: usize,
  weights: usize,
  normalizers: usize,
  rows: i32,
  classes: i32,
  ignoreIndex: i32,
  smoothing: f64,
): void {
  const share = smoothing / <f64>classes
  const weightSum = smoothing > 0 ? weight_sum(weight, weightStep, classes) : 0
  for (let r = 0; r < rows; r++) {
    const index = load<i32>(target)
    let loss: f64 = 0
    let own: f64 = 0
    if (index != ignoreIndex) {
      own = weight_of(weight, weightStep, index)
      const shift = row_max(logits, classes)
      const sum = exp_sum(logits, classes, shift)
      const log_sum = <f64>log_of(sum)
      const distance = <f64>shift - <f64>load<f32>(logits + (<usize>index << 2))
      loss = (1 - smoothing) * own * (distance + log_sum)
      if (smoothing > 0) {
        const others = weighted_distance(logits, weight, weightStep, classes, shift)
        loss += share * (others + weightSum * log_sum)
      }
      store<f32>(normalizers, shift)
      store<f32>(normalizers, <f32>sum, 4)
    }
    store<f32>(losses, <f32>loss)
    store<f32>(weights, <f32>own)
    logits += <usize>classes << 2
    target += 4
    losses += 4
    weights += 4
    normalizers += 8
  }
}

/** y = Σ losses / divisor; divisor = Σ weights where `mean` is 1, else 1. */
export function cross_entropy_reduce(
  losses: usize,
  weights: usize,
  mean: i32,
  y: usize,
  divisor: usize,
  rows: i32,
): void {
  const by: f64 = mean ? row_sum(weights, rows) : 1
  store<f32>(divisor, <f32>by)
  store<f32>(y, <f32>(row_sum(losses, rows) / by))
}

/** dlogits [rows, V] from dy: one number per row with dyStep 1, one for all with 0. May be `logits`. */
export function cross_entropy_backward(
  logits: usize,
  target: usize,
  weight: usize,
  weightStep: i32,
  normalizers: usize,
  dy: usize,
  dyStep: i32,
  divisor: usize,
  dlogits: usize,
  rows: i32,
  classes: i32,
  ignoreIndex: i32,
  smoothing: f64,
): void {
  const row = <usize>classes << 2
  const share = smoothing / <f64>classes
  const weightSum = smoothing > 0 ? weight_sum(weight, weightStep, classes) : 0
  for (let r = 0; r < rows; r++) {
    const index = load<i32>(target)
    if (index == ignoreIndex) {
      memory.fill(dlogits, 0, row)
    } else {
      const g = <f64>load<f32>(dy) / <f64>load<f32>(divisor)
      const own = (1 - smoothing) * weight_of(weight, weightStep, index)
      const scale = (g * (own + share * weightSum)) / <f64>load<f32>(normalizers, 4)
      const shift = load<f32>(normalizers)
      row_backward(logits, dlogits, classes, shift, <f32>scale)
      if (smoothing > 0) {
        spread_answer(dlogits, classes, <f32>(g * share), weight, weightStep)
      }
      const at = dlogits + (<usize>index << 2)
      store<f32>(at, load<f32>(at) - <f32>(g * own))
    }
    logits += row
    dlogits += row
    target += 4
    normalizers += 8
    dy += <usize>dyStep << 2
  }
}

/** dx = scale e^(x − shift) */
function row_backward(x: usize, dx: usize, classes: i32, shift: f32, scale: f32): void {
  const shifts = f32x4.splat(shift)
  const scales = f32x4.splat(scale)
  let left = classes
  for (; left >= 4; left -= 4, x += 16, dx += 16) {
    v128.store(dx, f32x4.mul(scales, exp_nonpositive(f32x4.sub(v128.load(x), shifts))))
  }
  if (left > 0) {
    const v = exp_nonpositive(f32x4.sub(load_first(x, left), shifts))
    store_first(dx, f32x4.mul(scales, v), left)
  }
}

/** dx −= share w */
function spread_answer(
  dx: usize,
  classes: i32,
  share: f32,
  weight: usize,
  weightStep: i32,
): void {
  const shares = f32x4.splat(share)
  for (let left = classes; left > 0; left -= 4, dx += 16) {
    const w = f32x4.mul(shares, load_weights(weight, weightStep, left))
    store_first(dx, f32x4.sub(load_first(dx, left), w), left)
    weight += <usize>weightStep << 4
  }
}

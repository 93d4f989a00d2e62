// One step of stochastic gradient descent in one pass over a parameter:
//   g' = ±factor·g + weightDecay·p
//   b  = momentum·b + (1 − dampening)·g'    (b = g' at the first step)
//   d  = g' + momentum·b with nesterov, b with momentum, else g';   p = p − lr·d
// Nothing changes where the non-finite flag is set. Source: torch.optim.SGD.

import { clock_at, get, gradient_factor, put, refused, tick } from './control'

/** Counts a step for the parameters from `first` on. */
export function sgd_advance(clocks: usize, first: i32, count: i32, control: usize): void {
  if (refused(control)) {
    return
  }
  for (let i = first; i < first + count; i++) {
    tick(clock_at(clocks, i))
  }
}

@inline
function direction(single: bool, p: v128, g: usize, factor: v128, decay: v128): v128 {
  return f32x4.add(f32x4.mul(factor, get(single, g)), f32x4.mul(decay, p))
}

@inline
function plain(single: bool, p: usize, g: usize, factor: v128, decay: v128, lr: v128): void {
  const before = get(single, p)
  const d = direction(single, before, g, factor, decay)
  put(single, p, f32x4.sub(before, f32x4.mul(lr, d)))
}

/** p[n] after a step without momentum. */
export function sgd_update(p: usize, g: usize, n: i32, control: usize, lr: f64, weightDecay: f64, maximize: i32): void {
  if (refused(control)) {
    return
  }
  const factor = f32x4.splat(gradient_factor(control, maximize))
  const decay = f32x4.splat(<f32>weightDecay)
  const rate = f32x4.splat(<f32>lr)
  let at: usize = 0
  for (const end = (<usize>(n & ~3)) << 2; at < end; at += 16) {
    plain(false, p + at, g + at, factor, decay, rate)
  }
  for (const end = (<usize>n) << 2; at < end; at += 4) {
    plain(true, p + at, g + at, factor, decay, rate)
  }
}

@inline
function with_momentum(single: bool, p: usize, g: usize, b: usize, factor: v128, decay: v128, lr: v128, momentum: v128, share: v128, nesterov: i32): void {
  const before = get(single, p)
  const gradient = direction(single, before, g, factor, decay)
  const average = f32x4.add(f32x4.mul(momentum, get(single, b)), f32x4.mul(share, gradient))
  put(single, b, average)
  const d = nesterov ? f32x4.add(gradient, f32x4.mul(momentum, average)) : average
  put(single, p, f32x4.sub(before, f32x4.mul(lr, d)))
}

/** p[n] and its momentum buffer b[n] after a step. */
export function sgd_momentum_update(p: usize, g: usize, b: usize, n: i32, clocks: usize, index: i32, control: usize, lr: f64, momentum: f64, dampening: f64, weightDecay: f64, nesterov: i32, maximize: i32): void {
  if (refused(control)) {
    return
  }
  const isFirst = load<f32>(clock_at(clocks, index)) == 1
  const share = f32x4.splat(isFirst ? 1 : <f32>(1 - dampening))
  const factor = f32x4.splat(gradient_factor(control, maximize))
  const decay = f32x4.splat(<f32>weightDecay)
  const rate = f32x4.splat(<f32>lr)
  const keep = f32x4.splat(<f32>momentum)
  let at: usize = 0
  for (const end = (<usize>(n & ~3)) << 2; at < end; at += 16) {
    with_momentum(false, p + at, g + at, b + at, factor, decay, rate, keep, share, nesterov)
  }
  for (const end = (<usize>n) << 2; at < end; at += 4) {
    with_momentum(true, p + at, g + at, b + at, factor, decay, rate, keep, share, nesterov)
  }
}

// One step of Adam or AdamW in one pass over a parameter:
//   g' = ±factor·g + weightDecay·p          (Adam; AdamW: p = p·(1 − lr·weightDecay), g' = ±factor·g)
//   m  = β₁m + (1 − β₁)g',  v = β₂v + (1 − β₂)g'²
//   p  = p − lr/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)     (amsgrad: the largest v so far)
// 1 − β is formed in f64: in f32, 1 − 0.999 is off by 5e-5 of itself. Nothing changes where the
// non-finite flag is set. Sources: Kingma, Ba (arXiv 1412.6980), Loshchilov, Hutter (1711.05101),
// Reddi, Kale, Kumar (1904.09237); torch.optim.Adam and AdamW.

import { clock_at, get, gradient_factor, put, refused, tick } from './control'
import { whole_power } from './power'

/** Counts a step t for the parameters from `first` on: 1 − β₁ᵗ and √(1 − β₂ᵗ) into their clocks. */
export function adam_advance(clocks: usize, first: i32, count: i32, control: usize, beta1: f64, beta2: f64): void {
  if (refused(control)) {
    return
  }
  for (let i = first; i < first + count; i++) {
    const clock = clock_at(clocks, i)
    const t = <i32>tick(clock)
    store<f32>(clock, <f32>(1 - whole_power(beta1, t)), 4)
    store<f32>(clock, <f32>sqrt(1 - whole_power(beta2, t)), 8)
  }
}

// The pass reads its twelve coefficients from locals; a class or an array would cost loads.
@inline
function pass(amsgrad: bool, p: usize, g: usize, m: usize, v: usize, w: usize, n: i32, clock: usize, control: usize, lr: f64, beta1: f64, beta2: f64, epsilon: f64, weightDecay: f64, decoupled: i32, maximize: i32): void {
  const factor = f32x4.splat(gradient_factor(control, maximize))
  const added = f32x4.splat(decoupled ? 0 : <f32>weightDecay)
  const kept = f32x4.splat(decoupled ? <f32>(1 - lr * weightDecay) : 1)
  const b1 = f32x4.splat(<f32>beta1)
  const a1 = f32x4.splat(<f32>(1 - beta1))
  const b2 = f32x4.splat(<f32>beta2)
  const a2 = f32x4.splat(<f32>(1 - beta2))
  const rate = f32x4.splat(<f32>(lr / <f64>load<f32>(clock, 4)))
  const scale = f32x4.splat(<f32>(1 / <f64>load<f32>(clock, 8)))
  const floor = f32x4.splat(<f32>epsilon)
  let at: usize = 0
  for (const end = (<usize>(n & ~3)) << 2; at < end; at += 16) {
    element(false, amsgrad, p + at, g + at, m + at, v + at, w + at, factor, added, kept, b1, a1, b2, a2, rate, scale, floor)
  }
  for (const end = (<usize>n) << 2; at < end; at += 4) {
    element(true, amsgrad, p + at, g + at, m + at, v + at, w + at, factor, added, kept, b1, a1, b2, a2, rate, scale, floor)
  }
}

@inline
function element(single: bool, amsgrad: bool, p: usize, g: usize, m: usize, v: usize, w: usize, factor: v128, added: v128, kept: v128, b1: v128, a1: v128, b2: v128, a2: v128, rate: v128, scale: v128, floor: v128): void {
  const before = get(single, p)
  const gradient = f32x4.add(f32x4.mul(factor, get(single, g)), f32x4.mul(added, before))
  const mean = f32x4.add(f32x4.mul(b1, get(single, m)), f32x4.mul(a1, gradient))
  const square = f32x4.mul(a2, f32x4.mul(gradient, gradient))
  let variance = f32x4.add(f32x4.mul(b2, get(single, v)), square)
  put(single, m, mean)
  put(single, v, variance)
  if (amsgrad) {
    variance = f32x4.max(get(single, w), variance)
    put(single, w, variance)
  }
  const denominator = f32x4.add(f32x4.mul(f32x4.sqrt(variance), scale), floor)
  const change = f32x4.mul(rate, f32x4.div(mean, denominator))
  put(single, p, f32x4.sub(f32x4.mul(kept, before), change))
}

/** p[n] with its averages m[n] and v[n] after a step; `decoupled` is AdamW's weight decay. */
export function adam_update(p: usize, g: usize, m: usize, v: usize, n: i32, clocks: usize, index: i32, control: usize, lr: f64, beta1: f64, beta2: f64, epsilon: f64, weightDecay: f64, decoupled: i32, maximize: i32): void {
  if (!refused(control)) {
    pass(false, p, g, m, v, v, n, clock_at(clocks, index), control, lr, beta1, beta2, epsilon, weightDecay, decoupled, maximize)
  }
}

/** The same, dividing by the largest v so far, which w[n] keeps. */
export function adam_amsgrad_update(p: usize, g: usize, m: usize, v: usize, w: usize, n: i32, clocks: usize, index: i32, control: usize, lr: f64, beta1: f64, beta2: f64, epsilon: f64, weightDecay: f64, decoupled: i32, maximize: i32): void {
  if (!refused(control)) {
    pass(true, p, g, m, v, w, n, clock_at(clocks, index), control, lr, beta1, beta2, epsilon, weightDecay, decoupled, maximize)
  }
}

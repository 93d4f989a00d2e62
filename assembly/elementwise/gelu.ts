// gelu        y = x Φ(x), Φ(x) = (1 + erf(x / √2)) / 2;  dx = dy (Φ(x) + x φ(x)), φ = e^(−x²/2) / √(2π)
// gelu_tanh   y = x (1 + t) / 2, t = tanh(√(2/π) (x + 0.044715 x³));
//             dx = dy ((1 + t) / 2 + x (1 − t²) √(2/π) (1 + 3 · 0.044715 x²) / 2)
// Source: Hendrycks and Gimpel, "Gaussian error linear units" (arXiv 1606.08415).

import { exp_nonpositive } from '../core/exponentials'
import { erf_f32x4, tanh_f32x4 } from '../core/math'
import { each, each_backward } from '../core/pointwise'

const SQRT_HALF: f32 = 0.70710678118654752
/** 1 / √(2π) */
const DENSITY_AT_ZERO: f32 = 0.39894228040143268
/** √(2 / π) */
const SCALE: f32 = 0.79788456080286536
const CUBIC: f32 = 0.044715

@inline
function distribution(x: v128): v128 {
  const e = erf_f32x4(f32x4.mul(x, f32x4.splat(SQRT_HALF)))
  return f32x4.mul(f32x4.splat(0.5), f32x4.add(f32x4.splat(1), e))
}

@inline
function density(x: v128): v128 {
  const decay = exp_nonpositive(f32x4.mul(f32x4.splat(-0.5), f32x4.mul(x, x)))
  return f32x4.mul(f32x4.splat(DENSITY_AT_ZERO), decay)
}

class Gelu {
  @inline of(x: v128): v128 {
    return f32x4.mul(x, distribution(x))
  }
}

class GeluBackward {
  @inline of(x: v128, dy: v128): v128 {
    return f32x4.mul(dy, f32x4.add(distribution(x), f32x4.mul(x, density(x))))
  }
}

@inline
function inner_tanh(x: v128, square: v128): v128 {
  const one = f32x4.splat(1)
  const factor = f32x4.add(one, f32x4.mul(f32x4.splat(CUBIC), square))
  return tanh_f32x4(f32x4.mul(f32x4.mul(f32x4.splat(SCALE), x), factor))
}

class GeluTanh {
  @inline of(x: v128): v128 {
    const t = inner_tanh(x, f32x4.mul(x, x))
    return f32x4.mul(f32x4.mul(f32x4.splat(0.5), x), f32x4.add(f32x4.splat(1), t))
  }
}

class GeluTanhBackward {
  @inline of(x: v128, dy: v128): v128 {
    const one = f32x4.splat(1)
    const half = f32x4.splat(0.5)
    const square = f32x4.mul(x, x)
    const t = inner_tanh(x, square)
    const inner = f32x4.add(one, f32x4.mul(f32x4.splat(3 * CUBIC), square))
    const slope = f32x4.mul(f32x4.sub(one, f32x4.mul(t, t)), f32x4.mul(f32x4.splat(SCALE), inner))
    const curve = f32x4.mul(f32x4.mul(half, x), slope)
    return f32x4.mul(dy, f32x4.add(f32x4.mul(half, f32x4.add(one, t)), curve))
  }
}

export function gelu(x: usize, y: usize, n: i32): void {
  each<Gelu>(x, y, n)
}

export function gelu_backward(x: usize, dy: usize, dx: usize, n: i32): void {
  each_backward<GeluBackward>(x, dy, dx, n)
}

export function gelu_tanh(x: usize, y: usize, n: i32): void {
  each<GeluTanh>(x, y, n)
}

export function gelu_tanh_backward(x: usize, dy: usize, dx: usize, n: i32): void {
  each_backward<GeluTanhBackward>(x, dy, dx, n)
}

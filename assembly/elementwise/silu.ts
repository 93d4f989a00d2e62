// y = x σ(x), σ(x) = 1 / (1 + e^−x); dx = dy σ(x) (1 + x (1 − σ(x))).

import { sigmoid_f32x4 } from '../core/math'
import { each, each_backward } from '../core/pointwise'

/** The derivative at x, s being σ(x). */
@inline
export function silu_slope(x: v128, s: v128): v128 {
  const one = f32x4.splat(1)
  return f32x4.mul(s, f32x4.add(one, f32x4.mul(x, f32x4.sub(one, s))))
}

class Silu {
  @inline of(x: v128): v128 {
    return f32x4.mul(x, sigmoid_f32x4(x))
  }
}

class SiluBackward {
  @inline of(x: v128, dy: v128): v128 {
    return f32x4.mul(dy, silu_slope(x, sigmoid_f32x4(x)))
  }
}

export function silu(x: usize, y: usize, n: i32): void {
  each<Silu>(x, y, n)
}

export function silu_backward(x: usize, dy: usize, dx: usize, n: i32): void {
  each_backward<SiluBackward>(x, dy, dx, n)
}

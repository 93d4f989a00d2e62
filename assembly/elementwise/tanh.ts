// y = tanh x; dx = dy (1 − y²).

import { tanh_f32x4 } from '../core/math'
import { each, each_backward_short } from '../core/pointwise'

class Tanh {
  @inline of(x: v128): v128 {
    return tanh_f32x4(x)
  }
}

class TanhBackward {
  @inline of(y: v128, dy: v128): v128 {
    return f32x4.mul(dy, f32x4.sub(f32x4.splat(1), f32x4.mul(y, y)))
  }
}

export function tanh(x: usize, y: usize, n: i32): void {
  each<Tanh>(x, y, n)
}

export function tanh_backward(y: usize, dy: usize, dx: usize, n: i32): void {
  each_backward_short<TanhBackward>(y, dy, dx, n)
}

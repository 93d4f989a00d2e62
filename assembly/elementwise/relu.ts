// y = max(x, 0), NaN where x is NaN; dx = dy where y > 0, else 0.

import { each_backward_short, each_short } from '../core/pointwise'

class Relu {
  @inline of(x: v128): v128 {
    return f32x4.max(x, f32x4.splat(0))
  }
}

class ReluBackward {
  @inline of(y: v128, dy: v128): v128 {
    return v128.and(dy, f32x4.gt(y, f32x4.splat(0)))
  }
}

export function relu(x: usize, y: usize, n: i32): void {
  each_short<Relu>(x, y, n)
}

export function relu_backward(y: usize, dy: usize, dx: usize, n: i32): void {
  each_backward_short<ReluBackward>(y, dy, dx, n)
}

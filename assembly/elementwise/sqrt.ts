// y = √x; dx = dy / (2y).

import { each_backward_short, each_short } from '../core/pointwise'

class Sqrt {
  @inline of(x: v128): v128 {
    return f32x4.sqrt(x)
  }
}

class SqrtBackward {
  @inline of(y: v128, dy: v128): v128 {
    return f32x4.div(f32x4.mul(dy, f32x4.splat(0.5)), y)
  }
}

export function sqrt(x: usize, y: usize, n: i32): void {
  each_short<Sqrt>(x, y, n)
}

export function sqrt_backward(y: usize, dy: usize, dx: usize, n: i32): void {
  each_backward_short<SqrtBackward>(y, dy, dx, n)
}

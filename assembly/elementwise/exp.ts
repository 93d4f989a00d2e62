// y = e^x; dx = dy y.

import { exp_f32x4 } from '../core/math'
import { each, each_backward_short } from '../core/pointwise'

class Exp {
  @inline of(x: v128): v128 {
    return exp_f32x4(x)
  }
}

class ExpBackward {
  @inline of(y: v128, dy: v128): v128 {
    return f32x4.mul(dy, y)
  }
}

export function exp(x: usize, y: usize, n: i32): void {
  each<Exp>(x, y, n)
}

export function exp_backward(y: usize, dy: usize, dx: usize, n: i32): void {
  each_backward_short<ExpBackward>(y, dy, dx, n)
}

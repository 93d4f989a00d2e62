// y = 1 / (1 + e^−x); dx = dy y (1 − y).

import { sigmoid_f32x4 } from '../core/math'
import { each, each_backward_short } from '../core/pointwise'

class Sigmoid {
  @inline of(x: v128): v128 {
    return sigmoid_f32x4(x)
  }
}

class SigmoidBackward {
  @inline of(y: v128, dy: v128): v128 {
    return f32x4.mul(dy, f32x4.mul(y, f32x4.sub(f32x4.splat(1), y)))
  }
}

export function sigmoid(x: usize, y: usize, n: i32): void {
  each<Sigmoid>(x, y, n)
}

export function sigmoid_backward(y: usize, dy: usize, dx: usize, n: i32): void {
  each_backward_short<SigmoidBackward>(y, dy, dx, n)
}

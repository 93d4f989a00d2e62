// y = 1 / √x; dx = −dy y³ / 2.

import { each_backward_short, each_short } from '../core/pointwise'

class Rsqrt {
  @inline of(x: v128): v128 {
    return f32x4.div(f32x4.splat(1), f32x4.sqrt(x))
  }
}

class RsqrtBackward {
  @inline of(y: v128, dy: v128): v128 {
    const cube = f32x4.mul(f32x4.mul(y, y), y)
    return f32x4.mul(f32x4.mul(f32x4.splat(-0.5), dy), cube)
  }
}

export function rsqrt(x: usize, y: usize, n: i32): void {
  each_short<Rsqrt>(x, y, n)
}

export function rsqrt_backward(y: usize, dy: usize, dx: usize, n: i32): void {
  each_backward_short<RsqrtBackward>(y, dy, dx, n)
}

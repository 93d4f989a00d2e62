// y = |x|; dx = dy sign(x), 0 at 0.

import { each_backward_short, each_short } from '../core/pointwise'

class Abs {
  @inline of(x: v128): v128 {
    return f32x4.abs(x)
  }
}

class AbsBackward {
  @inline of(x: v128, dy: v128): v128 {
    const signed = v128.xor(dy, v128.and(x, i32x4.splat(0x80000000)))
    return v128.and(signed, f32x4.ne(x, f32x4.splat(0)))
  }
}

export function abs(x: usize, y: usize, n: i32): void {
  each_short<Abs>(x, y, n)
}

export function abs_backward(x: usize, dy: usize, dx: usize, n: i32): void {
  each_backward_short<AbsBackward>(x, dy, dx, n)
}

// y = −x; its own gradient, of dy.

import { each_short } from '../core/pointwise'

class Neg {
  @inline of(x: v128): v128 {
    return f32x4.neg(x)
  }
}

export function neg(x: usize, y: usize, n: i32): void {
  each_short<Neg>(x, y, n)
}

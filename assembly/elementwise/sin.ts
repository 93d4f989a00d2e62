// y = sin x, y = cos x for |x| <= 1e6 (see ../core/math/sin.ts for the errors).

import { cos_f32x4, sin_f32x4 } from '../core/math'
import { each } from '../core/pointwise'

class Sin {
  @inline of(x: v128): v128 {
    return sin_f32x4(x)
  }
}

class Cos {
  @inline of(x: v128): v128 {
    return cos_f32x4(x)
  }
}

export function sin(x: usize, y: usize, n: i32): void {
  each<Sin>(x, y, n)
}

export function cos(x: usize, y: usize, n: i32): void {
  each<Cos>(x, y, n)
}

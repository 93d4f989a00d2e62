// y = erf x = 2/√π ∫₀ˣ e^(−t²) dt; dx = dy 2/√π e^(−x²).

import { exp_nonpositive } from '../core/exponentials'
import { erf_f32x4 } from '../core/math'
import { each, each_backward } from '../core/pointwise'

/** 2 / √π */
const SLOPE_AT_ZERO: f32 = 1.1283791670955126

class Erf {
  @inline of(x: v128): v128 {
    return erf_f32x4(x)
  }
}

class ErfBackward {
  @inline of(x: v128, dy: v128): v128 {
    const decay = exp_nonpositive(f32x4.neg(f32x4.mul(x, x)))
    return f32x4.mul(dy, f32x4.mul(f32x4.splat(SLOPE_AT_ZERO), decay))
  }
}

export function erf(x: usize, y: usize, n: i32): void {
  each<Erf>(x, y, n)
}

export function erf_backward(x: usize, dy: usize, dx: usize, n: i32): void {
  each_backward<ErfBackward>(x, dy, dx, n)
}

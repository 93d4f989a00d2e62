// y = log x; dx = dy / x.

import { log_f32x4 } from '../core/math'
import { each, each_backward_short } from '../core/pointwise'

class Log {
  @inline of(x: v128): v128 {
    return log_f32x4(x)
  }
}

class LogBackward {
  @inline of(x: v128, dy: v128): v128 {
    return f32x4.div(dy, x)
  }
}

export function log(x: usize, y: usize, n: i32): void {
  each<Log>(x, y, n)
}

export function log_backward(x: usize, dy: usize, dx: usize, n: i32): void {
  each_backward_short<LogBackward>(x, dy, dx, n)
}

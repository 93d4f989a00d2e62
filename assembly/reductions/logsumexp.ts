// y = m + log Σ e^(x − m) along rows, m the largest element (0 where that is infinite, so that a row of
// −Infinity alone gives −Infinity); dx = dy·e^(x − y).

import { exp_sum, log_of } from '../core/exponentials'
import { load_first, store_first } from '../core/lanes'
import { exp_f32x4 } from '../core/math'
import { row_max } from '../core/rows'

/** y [rows] = log Σ e^x over each row of x [rows, cols]. */
export function logsumexp(x: usize, y: usize, rows: i32, cols: i32): void {
  for (let r = 0; r < rows; r++) {
    const largest = row_max(x, cols)
    const shift: f32 = abs(largest) < Infinity ? largest : 0
    store<f32>(y, shift + log_of(exp_sum(x, cols, shift)))
    x += (<usize>cols) << 2
    y += 4
  }
}

/** dx [rows, cols] from x, y [rows] and dy [rows]; 0 in a row of −Infinity alone. */
export function logsumexp_backward(
  x: usize,
  y: usize,
  dy: usize,
  dx: usize,
  rows: i32,
  cols: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const value = load<f32>(y)
    const shifts = f32x4.splat(value == -Infinity ? 0 : value)
    const d = v128.load32_splat(dy)
    for (let left = cols; left > 0; left -= 4) {
      const p = exp_f32x4(f32x4.sub(load_first(x, left), shifts))
      store_first(dx, f32x4.mul(d, p), left)
      const step = (<usize>min(left, 4)) << 2
      x += step
      dx += step
    }
    y += 4
    dy += 4
  }
}

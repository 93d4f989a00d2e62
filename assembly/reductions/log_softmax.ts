// y = (x − m) − log Σ e^(x − m) along rows, m the largest element; dx = dy − e^y Σ dy. The sums are f64.
// A row of −Infinity alone gives NaN.

import { exp_sum, log_of } from '../core/exponentials'
import { load_first, store_first } from '../core/lanes'
import { exp_f32x4 } from '../core/math'
import { row_max, row_sum } from '../core/rows'

/** y = (x − shift) − log over n elements. */
function shifted(x: usize, y: usize, n: i32, shift: f32, log: f32): void {
  const shifts = f32x4.splat(shift)
  const logs = f32x4.splat(log)
  let left = n
  for (; left >= 4; left -= 4, x += 16, y += 16) {
    v128.store(y, f32x4.sub(f32x4.sub(v128.load(x), shifts), logs))
  }
  if (left > 0) {
    store_first(y, f32x4.sub(f32x4.sub(load_first(x, left), shifts), logs), left)
  }
}

/** y [rows, cols] = log of the softmax of each row of x. */
export function log_softmax(x: usize, y: usize, rows: i32, cols: i32): void {
  const row = <usize>cols << 2
  for (let r = 0; r < rows; r++) {
    const shift = row_max(x, cols)
    shifted(x, y, cols, shift, log_of(exp_sum(x, cols, shift)))
    x += row
    y += row
  }
}

/** dx [rows, cols] from y and dy [rows, cols]. */
export function log_softmax_backward(y: usize, dy: usize, dx: usize, rows: i32, cols: i32): void {
  const row = <usize>cols << 2
  for (let r = 0; r < rows; r++) {
    const sum = f32x4.splat(<f32>row_sum(dy, cols))
    for (let left = cols, at: usize = 0; left > 0; left -= 4, at += 16) {
      const p = exp_f32x4(load_first(y + at, left))
      store_first(dx + at, f32x4.sub(load_first(dy + at, left), f32x4.mul(p, sum)), left)
    }
    y += row
    dy += row
    dx += row
  }
}

// y = m + log Σ e^(x − m) along rows, m the largest element, 0 where it is −Infinity, so that a row of
// −Infinity alone gives −Infinity; dx = dy·e^(x − m) / Σ e^(x − m), not dy·e^(x − y), because y is rounded
// to units of its size.

import { exp_row, exp_sum, log_of } from '../core/exponentials'
import { load_first, store_first } from '../core/lanes'
import { row_max } from '../core/rows'

/** y [rows] = log Σ e^x over each row of x [rows, cols]. */
export function logsumexp(x: usize, y: usize, rows: i32, cols: i32): void {
  for (let r = 0; r < rows; r++) {
    const largest = row_max(x, cols)
    const shift: f32 = largest == -Infinity ? 0 : largest
    const value = shift + log_of(exp_sum(x, cols, shift))
    store<f32>(y, largest == Infinity ? largest : value)
    x += <usize>cols << 2
    y += 4
  }
}

/** x *= factor over n elements. */
function scale(x: usize, n: i32, factor: f32): void {
  const factors = f32x4.splat(factor)
  let left = n
  for (; left >= 4; left -= 4, x += 16) {
    v128.store(x, f32x4.mul(v128.load(x), factors))
  }
  if (left > 0) {
    store_first(x, f32x4.mul(load_first(x, left), factors), left)
  }
}

/** dx [rows, cols] from x and dy [rows]; 0 in a row of −Infinity alone. */
export function logsumexp_backward(x: usize, dy: usize, dx: usize, rows: i32, cols: i32): void {
  for (let r = 0; r < rows; r++) {
    const largest = row_max(x, cols)
    const sum = exp_row(x, dx, cols, largest == -Infinity ? 0 : largest)
    scale(dx, cols, sum == 0 ? 0 : <f32>(<f64>load<f32>(dy) / sum))
    x += <usize>cols << 2
    dx += <usize>cols << 2
    dy += 4
  }
}

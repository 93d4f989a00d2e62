// y = e^(x − m) / Σ e^(x − m) along rows, m the largest element; dx = y (dy − Σ y·dy). The sums are f64.
// A row of −Infinity alone gives NaN.

import { exponentials } from './exponentials'
import { load_first, store_first } from './lanes'
import { high, load_rest, low, row_max, total } from './rows'

/** y [rows, cols] = softmax of each row of x. */
export function softmax(x: usize, y: usize, rows: i32, cols: i32): void {
  const row = (<usize>cols) << 2
  for (let r = 0; r < rows; r++) {
    const sum = f32x4.splat(<f32>exponentials(true, x, y, cols, row_max(x, cols)))
    for (let left = cols, at = y; left > 0; left -= 4, at += 16) {
      store_first(at, f32x4.div(load_first(at, left), sum), left)
    }
    x += row
    y += row
  }
}

/** dx [rows, cols] from y and dy [rows, cols]. */
export function softmax_backward(y: usize, dy: usize, dx: usize, rows: i32, cols: i32): void {
  const row = (<usize>cols) << 2
  for (let r = 0; r < rows; r++) {
    let a = f64x2.splat(0)
    let b = a
    for (let left = cols, at: usize = 0; left > 0; left -= 4, at += 16) {
      const u = load_rest(y + at, left, 0)
      const v = load_rest(dy + at, left, 0)
      a = f64x2.add(a, f64x2.mul(low(u), low(v)))
      b = f64x2.add(b, f64x2.mul(high(u), high(v)))
    }
    const dot = f32x4.splat(<f32>total(a, b))
    for (let left = cols, at: usize = 0; left > 0; left -= 4, at += 16) {
      const d = f32x4.sub(load_first(dy + at, left), dot)
      store_first(dx + at, f32x4.mul(load_first(y + at, left), d), left)
    }
    y += row
    dy += row
    dx += row
  }
}

// y = e^(x − m) / Σ e^(x − m) along rows, m the largest element; dx = y (dy − Σ y·dy). The sums are f64.
// A row of −Infinity alone gives NaN.

import { exp_row } from '../core/exponentials'
import { load_first, store_first } from '../core/lanes'
import { high, load_rest, low, row_max, total } from '../core/rows'

/** y /= sum over n elements. */
function divide(y: usize, n: i32, sum: f32): void {
  const sums = f32x4.splat(sum)
  let left = n
  for (; left >= 4; left -= 4, y += 16) {
    v128.store(y, f32x4.div(v128.load(y), sums))
  }
  if (left > 0) {
    store_first(y, f32x4.div(load_first(y, left), sums), left)
  }
}

/** y [rows, cols] = softmax of each row of x. */
export function softmax(x: usize, y: usize, rows: i32, cols: i32): void {
  const row = <usize>cols << 2
  for (let r = 0; r < rows; r++) {
    const sum = exp_row(x, y, cols, row_max(x, cols))
    divide(y, cols, <f32>sum)
    x += row
    y += row
  }
}

/** Σ y·dy over n elements. */
function dot(y: usize, dy: usize, n: i32): f64 {
  let a = f64x2.splat(0)
  let b = a
  let left = n
  for (; left >= 4; left -= 4, y += 16, dy += 16) {
    a = f64x2.add(a, f64x2.mul(low(v128.load64_zero(y)), low(v128.load64_zero(dy))))
    b = f64x2.add(b, f64x2.mul(low(v128.load64_zero(y, 8)), low(v128.load64_zero(dy, 8))))
  }
  const u = load_rest(y, left, 0)
  const v = load_rest(dy, left, 0)
  a = f64x2.add(a, f64x2.mul(low(u), low(v)))
  b = f64x2.add(b, f64x2.mul(high(u), high(v)))
  return total(a, b)
}

/** dx = y (dy − mean) over n elements. */
function weigh(y: usize, dy: usize, dx: usize, n: i32, mean: f32): void {
  const means = f32x4.splat(mean)
  let left = n
  for (; left >= 4; left -= 4, y += 16, dy += 16, dx += 16) {
    v128.store(dx, f32x4.mul(v128.load(y), f32x4.sub(v128.load(dy), means)))
  }
  if (left > 0) {
    const difference = f32x4.sub(load_first(dy, left), means)
    store_first(dx, f32x4.mul(load_first(y, left), difference), left)
  }
}

/** dx [rows, cols] from y and dy [rows, cols]. */
export function softmax_backward(y: usize, dy: usize, dx: usize, rows: i32, cols: i32): void {
  const row = <usize>cols << 2
  for (let r = 0; r < rows; r++) {
    weigh(y, dy, dx, cols, <f32>dot(y, dy, cols))
    y += row
    dy += row
    dx += row
  }
}

// Sums of squares along rows, in f64 and rounded once: norm (m = 0), variance and standard deviation
// (m the mean of the row, in a pass of its own, so that nothing cancels).

import { high, low, row_sum } from '../core/rows'

function row_squares(x: usize, n: i32, center: f64): f64 {
  const centers = f64x2.splat(center)
  let a = f64x2.splat(0)
  let b = a
  let i = 0
  for (; i <= n - 4; i += 4, x += 16) {
    const v = v128.load(x)
    const d = f64x2.sub(low(v), centers)
    const e = f64x2.sub(high(v), centers)
    a = f64x2.add(a, f64x2.mul(d, d))
    b = f64x2.add(b, f64x2.mul(e, e))
  }
  a = f64x2.add(a, b)
  let sum = f64x2.extract_lane(a, 0) + f64x2.extract_lane(a, 1)
  for (; i < n; i++, x += 4) {
    const d = <f64>load<f32>(x) - center
    sum += d * d
  }
  return sum
}

/**
 * y [rows] = Σ (x − m)² / divisor over each row of x [rows, cols], or its square root with `root`;
 * m is the mean of the row with `centered`, else 0.
 */
export function sum_squares(
  x: usize,
  y: usize,
  rows: i32,
  cols: i32,
  divisor: f64,
  centered: i32,
  root: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const center = centered ? row_sum(x, cols) / <f64>cols : 0
    const mean = row_squares(x, cols, center) / divisor
    store<f32>(y, <f32>(root ? sqrt(mean) : mean))
    x += (<usize>cols) << 2
    y += 4
  }
}

/** dx [rows, cols] = dy·2(x − m) / divisor; dy·(x − m) / (y·divisor) with `root`, 0 where y is 0. */
export function sum_squares_backward(
  x: usize,
  y: usize,
  dy: usize,
  dx: usize,
  rows: i32,
  cols: i32,
  divisor: f64,
  centered: i32,
  root: i32,
): void {
  for (let r = 0; r < rows; r++) {
    const center = centered ? row_sum(x, cols) / <f64>cols : 0
    const norm = root ? <f64>load<f32>(y) : 0.5
    const factor = norm == 0 ? 0 : <f64>load<f32>(dy) / (norm * divisor)
    for (let c = 0; c < cols; c++) {
      store<f32>(dx, <f32>((<f64>load<f32>(x) - center) * factor))
      x += 4
      dx += 4
    }
    y += 4
    dy += 4
  }
}

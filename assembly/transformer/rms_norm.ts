// Root mean square normalisation of each row, y = x r (offset + weight), r = 1 / sqrt(mean(x²) + eps),
// and its gradients. Formulas: src/ops/rms_norm.ts.

import { add_products, block_sums, columns_clear, columns_flush, columns_write, ROWS } from './columns'
import { products } from './rows'

/** y[j] = (x[j] r) (offset + weight[j]), or x[j] r where there is no weight. */
@inline
function scale_row(x: usize, r: f32, weight: usize, hasWeight: i32, offset: f32, y: usize, cols: i32): void {
  const factor = f32x4.splat(r)
  const offsets = f32x4.splat(offset)
  let j = 0
  for (; j <= cols - 4; j += 4) {
    const at = <usize>j << 2
    let value = f32x4.mul(v128.load(x + at), factor)
    if (hasWeight) {
      value = f32x4.mul(value, f32x4.add(offsets, v128.load(weight + at)))
    }
    v128.store(y + at, value)
  }
  for (; j < cols; j++) {
    const at = <usize>j << 2
    let value = load<f32>(x + at) * r
    if (hasWeight) {
      value *= offset + load<f32>(weight + at)
    }
    store<f32>(y + at, value)
  }
}

/** dx[j] = r (g[j] - x[j] c) */
@inline
function combine_row(g: usize, x: usize, r: f32, c: f32, dx: usize, cols: i32): void {
  const factor = f32x4.splat(r)
  const slope = f32x4.splat(c)
  let j = 0
  for (; j <= cols - 4; j += 4) {
    const at = <usize>j << 2
    const rest = f32x4.sub(v128.load(g + at), f32x4.mul(v128.load(x + at), slope))
    v128.store(dx + at, f32x4.mul(factor, rest))
  }
  for (; j < cols; j++) {
    const at = <usize>j << 2
    store<f32>(dx + at, r * (load<f32>(g + at) - load<f32>(x + at) * c))
  }
}

/** y [rows, cols] and rstd [rows] of x [rows, cols]. */
export function rms_norm(
  x: usize,
  weight: usize,
  hasWeight: i32,
  y: usize,
  rstd: usize,
  rows: i32,
  cols: i32,
  eps: f64,
  offset: f32,
): void {
  const step = <usize>cols << 2
  for (let row = 0; row < rows; row++) {
    const mean = products(x, 0, x, 0, cols) / <f64>cols
    const r = <f32>(1 / sqrt<f64>(mean + eps))
    store<f32>(rstd, r)
    scale_row(x, r, weight, hasWeight, offset, y, cols)
    x += step
    y += step
    rstd += 4
  }
}

/** dx [rows, cols]. */
export function rms_norm_dx(
  dy: usize,
  x: usize,
  weight: usize,
  hasWeight: i32,
  rstd: usize,
  dx: usize,
  rows: i32,
  cols: i32,
  offset: f32,
): void {
  const step = <usize>cols << 2
  for (let row = 0; row < rows; row++) {
    const r = load<f32>(rstd)
    scale_row(dy, 1, weight, hasWeight, offset, dx, cols)
    const slope = (products(dx, 0, x, 0, cols) / <f64>cols) * <f64>r * <f64>r
    combine_row(dx, x, r, <f32>slope, dx, cols)
    dy += step
    x += step
    dx += step
    rstd += 4
  }
}

/** dweight [cols] = Σ dy x r over the rows; scratch: 3 cols floats. */
export function rms_norm_dweight(
  dy: usize,
  x: usize,
  rstd: usize,
  dweight: usize,
  rows: i32,
  cols: i32,
  scratch: usize,
): void {
  const step = <usize>cols << 2
  const sums = block_sums(scratch, cols)
  columns_clear(scratch, cols)
  for (let row = 0; row < rows; row++) {
    add_products(dy, x, 0, load<f32>(rstd), sums, cols)
    if (row % ROWS == ROWS - 1 || row == rows - 1) {
      columns_flush(scratch, cols)
    }
    dy += step
    x += step
    rstd += 4
  }
  columns_write(scratch, dweight, cols)
}

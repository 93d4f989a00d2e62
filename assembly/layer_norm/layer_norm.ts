// Normalisation of each row to mean 0 and variance 1, y = (x - mean) r weight + bias,
// r = 1 / sqrt(variance + eps), and its gradients. Formulas: src/ops/layer_norm.ts.

import { add_products, block_sums, columns_clear, columns_flush, columns_write, ROWS } from '../transformer/columns'
import { products, row_sum } from '../transformer/rows'

/** y[j] = ((x[j] - mean) r) weight[j] + bias[j]; without weight or bias the step is left out. */
@inline
function normal_row(x: usize, mean: f32, r: f32, weight: usize, hasWeight: i32, bias: usize, hasBias: i32, y: usize, cols: i32): void {
  const shift = f32x4.splat(mean)
  const factor = f32x4.splat(r)
  let j = 0
  for (; j <= cols - 4; j += 4) {
    const at = <usize>j << 2
    let value = f32x4.mul(f32x4.sub(v128.load(x + at), shift), factor)
    if (hasWeight) {
      value = f32x4.mul(value, v128.load(weight + at))
    }
    if (hasBias) {
      value = f32x4.add(value, v128.load(bias + at))
    }
    v128.store(y + at, value)
  }
  for (; j < cols; j++) {
    const at = <usize>j << 2
    let value = (load<f32>(x + at) - mean) * r
    if (hasWeight) {
      value *= load<f32>(weight + at)
    }
    if (hasBias) {
      value += load<f32>(bias + at)
    }
    store<f32>(y + at, value)
  }
}

/** dx[j] = r ((g[j] - gMean) - (x[j] - mean) slope) */
@inline
function combine_row(g: usize, gMean: f32, x: usize, mean: f32, slope: f32, r: f32, dx: usize, cols: i32): void {
  const gShift = f32x4.splat(gMean)
  const shift = f32x4.splat(mean)
  const slopes = f32x4.splat(slope)
  const factor = f32x4.splat(r)
  let j = 0
  for (; j <= cols - 4; j += 4) {
    const at = <usize>j << 2
    const centered = f32x4.sub(v128.load(g + at), gShift)
    const along = f32x4.mul(f32x4.sub(v128.load(x + at), shift), slopes)
    v128.store(dx + at, f32x4.mul(factor, f32x4.sub(centered, along)))
  }
  for (; j < cols; j++) {
    const at = <usize>j << 2
    const centered = load<f32>(g + at) - gMean
    store<f32>(dx + at, r * (centered - (load<f32>(x + at) - mean) * slope))
  }
}

/** y [rows, cols], mean [rows] and rstd [rows] of x [rows, cols]. */
export function layer_norm(
  x: usize,
  weight: usize,
  hasWeight: i32,
  bias: usize,
  hasBias: i32,
  y: usize,
  mean: usize,
  rstd: usize,
  rows: i32,
  cols: i32,
  eps: f64,
): void {
  const step = <usize>cols << 2
  const count = <f64>cols
  for (let row = 0; row < rows; row++) {
    const exact = row_sum(x, cols) / count
    const m = <f32>exact
    // Deviations are from the rounded mean, which is off by `shift`.
    const shift = exact - <f64>m
    const variance = products(x, m, x, m, cols) / count - shift * shift
    const r = <f32>(1 / sqrt<f64>(max(variance, 0) + eps))
    store<f32>(mean, m)
    store<f32>(rstd, r)
    normal_row(x, m, r, weight, hasWeight, bias, hasBias, y, cols)
    x += step
    y += step
    mean += 4
    rstd += 4
  }
}

/** dx [rows, cols]. */
export function layer_norm_dx(
  dy: usize,
  x: usize,
  weight: usize,
  hasWeight: i32,
  mean: usize,
  rstd: usize,
  dx: usize,
  rows: i32,
  cols: i32,
): void {
  const step = <usize>cols << 2
  const count = <f64>cols
  for (let row = 0; row < rows; row++) {
    const m = load<f32>(mean)
    const r = load<f32>(rstd)
    normal_row(dy, 0, 1, weight, hasWeight, 0, 0, dx, cols)
    const gMean = <f32>(row_sum(dx, cols) / count)
    const slope = <f32>((products(dx, gMean, x, m, cols) / count) * <f64>r * <f64>r)
    combine_row(dx, gMean, x, m, slope, r, dx, cols)
    dy += step
    x += step
    dx += step
    mean += 4
    rstd += 4
  }
}

/** dweight [cols] = Σ dy (x - mean) r over the rows; scratch: 3 cols floats. */
export function layer_norm_dweight(
  dy: usize,
  x: usize,
  mean: usize,
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
    add_products(dy, x, load<f32>(mean), load<f32>(rstd), sums, cols)
    if (row % ROWS == ROWS - 1 || row == rows - 1) {
      columns_flush(scratch, cols)
    }
    dy += step
    x += step
    mean += 4
    rstd += 4
  }
  columns_write(scratch, dweight, cols)
}

// One step of Adafactor for a parameter [batch, rows, cols] (a vector is [1, 1, n], not factored:
// R / mean R is 1):
//   w = t^decay,  R = (1 − w)R + w·(mean over cols of g² + ε₁),  C likewise over rows
//   u = g / √max(R/max(mean R, floor) · C, floor²),   α = rate·max(ε₂, RMS p)
//   p = p·(1 − decay) − α / max(1, RMS u / threshold)·u
// Sums are in f64, blocked as in gradient_norm.ts. Nothing changes where the non-finite flag is set.
// Source: Shazeer, Stern, "Adafactor" (arXiv 1804.04235); torch.optim.Adafactor and transformers'.
//
//   clock   0 step count t, 1 w, 2 α, 3 α / max(1, RMS u / threshold)

import { clock_at, FACTOR, get, gradient_factor, promote_high, put, refused, tick } from '../core/control'
import { sum_of_squares } from '../core/gradient_norm'
import { power } from '../core/power'

/** Counts a step for the parameters from `first` on. */
export function adafactor_advance(clocks: usize, first: i32, count: i32, control: usize, decay: f64): void {
  if (refused(control)) {
    return
  }
  for (let i = first; i < first + count; i++) {
    const clock = clock_at(clocks, i)
    store<f32>(clock, <f32>power(<f64>tick(clock), decay), 4)
  }
}

/** x = (1 − w)x + w·mean. */
@inline
function approach(x: usize, weight: f64, mean: f64): void {
  store<f32>(x, <f32>((1 - weight) * <f64>load<f32>(x) + weight * mean))
}

/** The row factor [count] of a gradient [count, cols]. */
export function adafactor_rows(g: usize, row: usize, count: i32, cols: i32, clocks: usize, index: i32, control: usize, epsilon: f64): void {
  if (refused(control)) {
    return
  }
  const weight = <f64>load<f32>(clock_at(clocks, index), 4)
  const factor = <f64>load<f32>(control, FACTOR)
  for (let i = 0; i < count; i++) {
    const mean = (factor * factor * sum_of_squares(g, cols)) / <f64>max<i32>(1, cols)
    approach(row + ((<usize>i) << 2), weight, mean + epsilon)
    g += (<usize>cols) << 2
  }
}

/** sums[cols] f64 += g[cols]². */
@inline
function add_squares(g: usize, sums: usize, cols: i32): void {
  let j = 0
  for (; j <= cols - 4; j += 4) {
    const x = v128.load(g)
    const low = f64x2.promote_low_f32x4(x)
    const high = promote_high(x)
    v128.store(sums, f64x2.add(v128.load(sums), f64x2.mul(low, low)))
    v128.store(sums, f64x2.add(v128.load(sums, 16), f64x2.mul(high, high)), 16)
    g += 16
    sums += 32
  }
  for (; j < cols; j++) {
    const x = <f64>load<f32>(g)
    store<f64>(sums, load<f64>(sums) + x * x)
    g += 4
    sums += 8
  }
}

/** The column factor [batch, cols]; `scratch` has 2·cols elements. */
export function adafactor_columns(g: usize, col: usize, batch: i32, rows: i32, cols: i32, clocks: usize, index: i32, control: usize, epsilon: f64, scratch: usize): void {
  if (refused(control)) {
    return
  }
  const weight = <f64>load<f32>(clock_at(clocks, index), 4)
  const factor = <f64>load<f32>(control, FACTOR)
  for (let b = 0; b < batch; b++) {
    memory.fill(scratch, 0, (<usize>cols) << 3)
    for (let i = 0; i < rows; i++) {
      add_squares(g, scratch, cols)
      g += (<usize>cols) << 2
    }
    for (let j = 0; j < cols; j++) {
      const mean = (factor * factor * load<f64>(scratch + ((<usize>j) << 3))) / <f64>max<i32>(1, rows)
      approach(col, weight, mean + epsilon)
      col += 4
    }
  }
}

/** 1 / max(mean of row[rows], floor). */
function row_scale(row: usize, rows: i32, floor: f64, factored: i32): f64 {
  if (!factored) {
    return 1
  }
  let sum: f64 = 0
  for (let i = 0; i < rows; i++) {
    sum += <f64>load<f32>(row + ((<usize>i) << 2))
  }
  return 1 / max(sum / <f64>rows, floor)
}

/** R / max(mean R, floor) of one row. */
@inline
function row_share(row: usize, i: i32, scale: f64, factored: i32): f32 {
  return factored ? <f32>(scale * <f64>load<f32>(row + ((<usize>i) << 2))) : 1
}

/** g / √max(share·C, least): four elements of u. */
@inline
function update_at(single: bool, g: usize, col: usize, factor: v128, share: v128, least: v128): v128 {
  const variance = f32x4.max(f32x4.mul(share, get(single, col)), least)
  return f32x4.div(f32x4.mul(factor, get(single, g)), f32x4.sqrt(variance))
}

/** floor² as f32, kept above 0 so that a gradient of 0 gives an update of 0. */
@inline
function least_variance(floor: f64): v128 {
  return f32x4.splat(max(<f32>(floor * floor), f32.MIN_NORMAL_VALUE))
}

/** Σ u² over a row. */
function update_squares(g: usize, col: usize, cols: i32, factor: f32, share: f32, least: v128): f64 {
  const factors = f32x4.splat(factor)
  const shares = f32x4.splat(share)
  let low = f64x2.splat(0)
  let high = low
  let at: usize = 0
  for (const end = (<usize>(cols & ~3)) << 2; at < end; at += 16) {
    const u = update_at(false, g + at, col + at, factors, shares, least)
    const first = f64x2.promote_low_f32x4(u)
    const second = promote_high(u)
    low = f64x2.add(low, f64x2.mul(first, first))
    high = f64x2.add(high, f64x2.mul(second, second))
  }
  let rest: f64 = 0
  for (const end = (<usize>cols) << 2; at < end; at += 4) {
    const u = update_at(true, g + at, col + at, factors, shares, least)
    const x = <f64>f32x4.extract_lane(u, 0)
    rest += x * x
  }
  const sum = f64x2.add(low, high)
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1) + rest
}

/** The rate of step t: lr, or min(lr, 1/√t) with `relative` 1, min(lr·t, 1/√t) with 2. */
@inline
function rate_at(t: f64, lr: f64, relative: i32): f64 {
  return relative == 0 ? lr : min(relative == 1 ? lr : lr * t, 1 / sqrt(t))
}

/** α and the step size into the clock. */
export function adafactor_scale(p: usize, g: usize, row: usize, col: usize, factored: i32, batch: i32, rows: i32, cols: i32, clocks: usize, index: i32, control: usize, lr: f64, relative: i32, scaled: i32, epsilon: f64, floor: f64, threshold: f64): void {
  const n = batch * rows * cols
  if (refused(control) || n == 0) {
    return
  }
  const clock = clock_at(clocks, index)
  const size = scaled ? max<f64>(epsilon, sqrt(sum_of_squares(p, n) / <f64>n)) : 1
  const alpha = size * rate_at(<f64>load<f32>(clock), lr, relative)
  const factor = gradient_factor(control, 0)
  const least = least_variance(floor)
  let sum: f64 = 0
  for (let b = 0; b < batch; b++) {
    const scale = row_scale(row + ((<usize>(b * rows)) << 2), rows, floor, factored)
    for (let i = 0; i < rows; i++) {
      const share = row_share(row, b * rows + i, scale, factored)
      sum += update_squares(g, col, cols, factor, share, least)
      g += (<usize>cols) << 2
    }
    col += (<usize>cols) << 2
  }
  store<f32>(clock, <f32>alpha, 8)
  store<f32>(clock, <f32>(alpha / max<f64>(1, sqrt(sum / <f64>n) / threshold)), 12)
}

@inline
function apply_at(single: bool, averaged: bool, p: usize, g: usize, col: usize, m: usize, factor: v128, share: v128, least: v128, step: v128, kept: v128, b1: v128, a1: v128): void {
  const u = update_at(single, g, col, factor, share, least)
  let change = f32x4.mul(step, u)
  if (averaged) {
    change = f32x4.add(f32x4.mul(b1, get(single, m)), f32x4.mul(a1, change))
    put(single, m, change)
  }
  put(single, p, f32x4.sub(f32x4.mul(kept, get(single, p)), change))
}

@inline
function apply_row(averaged: bool, p: usize, g: usize, col: usize, m: usize, cols: i32, factor: v128, share: v128, least: v128, step: v128, kept: v128, b1: v128, a1: v128): void {
  let at: usize = 0
  for (const end = (<usize>(cols & ~3)) << 2; at < end; at += 16) {
    apply_at(false, averaged, p + at, g + at, col + at, m + at, factor, share, least, step, kept, b1, a1)
  }
  for (const end = (<usize>cols) << 2; at < end; at += 4) {
    apply_at(true, averaged, p + at, g + at, col + at, m + at, factor, share, least, step, kept, b1, a1)
  }
}

/** p, and with `averaged` the mean m of its updates; weight decay is decay + relativeDecay·α. */
export function adafactor_apply(p: usize, g: usize, row: usize, col: usize, m: usize, factored: i32, batch: i32, rows: i32, cols: i32, clocks: usize, index: i32, control: usize, averaged: i32, beta1: f64, decay: f64, relativeDecay: f64, floor: f64, maximize: i32): void {
  if (refused(control)) {
    return
  }
  const clock = clock_at(clocks, index)
  const factor = f32x4.splat(gradient_factor(control, maximize))
  const least = least_variance(floor)
  const step = f32x4.splat(load<f32>(clock, 12))
  const kept = f32x4.splat(<f32>(1 - (decay + relativeDecay * <f64>load<f32>(clock, 8))))
  const b1 = f32x4.splat(<f32>beta1)
  const a1 = f32x4.splat(<f32>(1 - beta1))
  const length = (<usize>cols) << 2
  for (let b = 0; b < batch; b++) {
    const scale = row_scale(row + ((<usize>(b * rows)) << 2), rows, floor, factored)
    for (let i = 0; i < rows; i++) {
      const share = f32x4.splat(row_share(row, b * rows + i, scale, factored))
      if (averaged) {
        apply_row(true, p, g, col, m, cols, factor, share, least, step, kept, b1, a1)
      } else {
        apply_row(false, p, g, col, m, cols, factor, share, least, step, kept, b1, a1)
      }
      p += length
      g += length
      m += length
    }
    col += length
  }
}

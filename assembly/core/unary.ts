// Elementwise functions of arrays: y[i] = f(x[i]) for i < n; x and y may be the same array.
// The functions and their errors: math.ts.
import {
  cos_f32x4,
  erf_f32x4,
  exp_f32x4,
  log_f32x4,
  sigmoid_f32x4,
  sin_f32x4,
  tanh_f32x4,
} from './math'

/** The first `count` (at most 4) floats at `x`; the other lanes repeat the first. */
@inline
function load_first(x: usize, count: i32): v128 {
  if (count >= 4) {
    return v128.load(x)
  }
  let v = v128.load32_splat(x)
  if (count > 1) {
    v = v128.load_lane<f32>(x + 4, v, 1)
  }
  if (count > 2) {
    v = v128.load_lane<f32>(x + 8, v, 2)
  }
  return v
}

/** Writes the first `count` (at most 4) lanes to `y`. */
@inline
function store_first(y: usize, v: v128, count: i32): void {
  if (count >= 4) {
    v128.store(y, v)
    return
  }
  v128.store_lane<f32>(y, v, 0)
  if (count > 1) {
    v128.store_lane<f32>(y + 4, v, 1)
  }
  if (count > 2) {
    v128.store_lane<f32>(y + 8, v, 2)
  }
}

export function exp(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, exp_f32x4(load_first(x, left)), left)
  }
}

export function log(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, log_f32x4(load_first(x, left)), left)
  }
}

export function tanh(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, tanh_f32x4(load_first(x, left)), left)
  }
}

export function erf(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, erf_f32x4(load_first(x, left)), left)
  }
}

export function sigmoid(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, sigmoid_f32x4(load_first(x, left)), left)
  }
}

export function sin(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, sin_f32x4(load_first(x, left)), left)
  }
}

export function cos(x: usize, y: usize, n: i32): void {
  for (let left = n; left > 0; left -= 4, x += 16, y += 16) {
    store_first(y, cos_f32x4(load_first(x, left)), left)
  }
}

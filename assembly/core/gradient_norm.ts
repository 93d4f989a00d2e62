// The L2 norm of all gradients, the clip factor and the non-finite flag, all left in `control`:
//   norm = √Σ g²,   factor = min(1, maxNorm / (norm + 1e-6))
// Sums are in f64, in eight lanes (element i of a tensor in lane i mod 8, the last n mod 8 apart)
// that are added in one order, so their bits depend on the tensors and their order alone. An f64 sum
// of f32 squares cannot overflow: it is finite if and only if every gradient is.
// Source: torch.nn.utils.clip_grad_norm_.

import { FACTOR, NON_FINITE, NORM, promote_high, refused } from './control'

@inline
function add_square(sum: v128, x: v128): v128 {
  return f64x2.add(sum, f64x2.mul(x, x))
}

/** Σ g² for n elements. */
export function sum_of_squares(g: usize, n: i32): f64 {
  let s0 = f64x2.splat(0)
  let s1 = s0
  let s2 = s0
  let s3 = s0
  let i = 0
  for (; i <= n - 8; i += 8) {
    const first = v128.load(g)
    const second = v128.load(g, 16)
    s0 = add_square(s0, f64x2.promote_low_f32x4(first))
    s1 = add_square(s1, promote_high(first))
    s2 = add_square(s2, f64x2.promote_low_f32x4(second))
    s3 = add_square(s3, promote_high(second))
    g += 32
  }
  let rest: f64 = 0
  for (; i < n; i++) {
    const x = <f64>load<f32>(g)
    rest += x * x
    g += 4
  }
  const sum = f64x2.add(f64x2.add(s0, s1), f64x2.add(s2, s3))
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1) + rest
}

/** Writes norm, factor and flag; the flag stays set if it was. */
@inline
export function conclude(sum: f64, norm: f64, maxNorm: f64, control: usize): void {
  store<f32>(control, <f32>norm, NORM)
  store<f32>(control, <f32>min<f64>(1, maxNorm / (norm + 1e-6)), FACTOR)
  if (sum - sum != 0) {
    store<f32>(control, 1, NON_FINITE)
  }
}

/** Starts a norm. */
export function gradient_norm_begin(control: usize): void {
  store<f64>(control, 0)
  store<f32>(control, 0, NORM)
  store<f32>(control, 1, FACTOR)
  store<f32>(control, 0, NON_FINITE)
}

/** Adds a gradient of n elements. */
export function gradient_norm_add(g: usize, n: i32, control: usize): void {
  store<f64>(control, load<f64>(control) + sum_of_squares(g, n))
}

/** Ends a norm: norm, factor, flag. */
export function gradient_norm_end(maxNorm: f64, control: usize): void {
  const sum = load<f64>(control)
  conclude(sum, sqrt(sum), maxNorm, control)
}

/** Sets the flag if one of n elements is not finite. */
export function flag_non_finite(x: usize, n: i32, control: usize): void {
  for (let i = 0; i < n; i++) {
    const value = load<f32>(x + ((<usize>i) << 2))
    if (value - value != 0) {
      store<f32>(control, 1, NON_FINITE)
    }
  }
}

/** y[0] = the norm. */
export function read_norm(control: usize, y: usize): void {
  store<f32>(y, load<f32>(control, NORM))
}

/** g = factor·g, unless the flag is set. */
export function clip_gradient(g: usize, n: i32, control: usize): void {
  if (refused(control)) {
    return
  }
  const factor = load<f32>(control, FACTOR)
  const factors = f32x4.splat(factor)
  let i = 0
  for (; i <= n - 4; i += 4) {
    v128.store(g, f32x4.mul(factors, v128.load(g)))
    g += 16
  }
  for (; i < n; i++) {
    store<f32>(g, factor * load<f32>(g))
    g += 4
  }
}

// The Lp norm of all gradients for p other than 2, in f64, between gradient_norm_begin and the use of
// `control`:  norm = (Σ |g|^p)^(1/p), max |g| for p = ∞.
// |g|^p can overflow for large p: such gradients count as not finite.

import { conclude } from '../core/gradient_norm'
import { power } from '../core/power'

/** Σ |g|, in two lanes of f64. */
function sum_of_magnitudes(g: usize, n: i32): f64 {
  let sum = f64x2.splat(0)
  let i = 0
  for (; i <= n - 2; i += 2) {
    sum = f64x2.add(sum, f64x2.abs(f64x2.promote_low_f32x4(v128.load64_zero(g))))
    g += 8
  }
  const rest: f64 = i < n ? <f64>abs(load<f32>(g)) : 0
  return f64x2.extract_lane(sum, 0) + f64x2.extract_lane(sum, 1) + rest
}

/** max |g|; NaN if there is one. */
function largest(g: usize, n: i32): f64 {
  let most = f32x4.splat(0)
  let i = 0
  for (; i <= n - 4; i += 4) {
    most = f32x4.max(most, f32x4.abs(v128.load(g)))
    g += 16
  }
  for (; i < n; i++) {
    most = f32x4.max(most, f32x4.abs(v128.load32_zero(g)))
    g += 4
  }
  const low = max<f32>(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1))
  const high = max<f32>(f32x4.extract_lane(most, 2), f32x4.extract_lane(most, 3))
  return <f64>max<f32>(low, high)
}

function sum_of_powers(g: usize, n: i32, p: f64): f64 {
  let sum: f64 = 0
  for (let i = 0; i < n; i++) {
    sum += power(<f64>abs(load<f32>(g)), p)
    g += 4
  }
  return sum
}

/** Adds a gradient of n elements. */
export function power_norm_add(g: usize, n: i32, p: f64, control: usize): void {
  const before = load<f64>(control)
  if (p == Infinity) {
    store<f64>(control, max<f64>(before, largest(g, n)))
  } else if (p == 1) {
    store<f64>(control, before + sum_of_magnitudes(g, n))
  } else {
    store<f64>(control, before + sum_of_powers(g, n, p))
  }
}

/** Ends a norm: norm, factor, flag. */
export function power_norm_end(p: f64, maxNorm: f64, control: usize): void {
  const sum = load<f64>(control)
  const norm = p == 1 || p == Infinity ? sum : power(sum, 1 / p)
  conclude(sum, norm, maxNorm, control)
}

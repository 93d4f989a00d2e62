// What the optimizer kernels share: the control buffer and the clocks (src/optim/control.ts), and
// loads and stores of four elements, or of one where fewer than four are left.
//
//   control   0-1 accumulator (one f64), 2 norm, 3 factor, 4 non-finite
//   clock     0 step count, 1-3 what the optimizer derives from it

export const NORM: usize = 8
export const FACTOR: usize = 12
export const NON_FINITE: usize = 16

/** Whether this step must change nothing. */
@inline
export function refused(control: usize): bool {
  return load<f32>(control, NON_FINITE) != 0
}

/** What gradients are multiplied by: the clip factor, with the sign of the direction. */
@inline
export function gradient_factor(control: usize, maximize: i32): f32 {
  const factor = load<f32>(control, FACTOR)
  return maximize ? -factor : factor
}

/** The clock of parameter `index`. */
@inline
export function clock_at(clocks: usize, index: i32): usize {
  return clocks + ((<usize>index) << 4)
}

/** Counts one step more and returns the count; f32 is exact up to 2²⁴ steps. */
@inline
export function tick(clock: usize): f32 {
  const count = load<f32>(clock) + 1
  store<f32>(clock, count)
  return count
}

/** Four elements at `x`, or the one there in lane 0. */
@inline
export function get(single: bool, x: usize): v128 {
  return single ? v128.load32_zero(x) : v128.load(x)
}

/** Stores four elements at `y`, or lane 0 alone. */
@inline
export function put(single: bool, y: usize, values: v128): void {
  if (single) {
    v128.store_lane<f32>(y, values, 0)
  } else {
    v128.store(y, values)
  }
}

/** The last two lanes in f64. */
@inline
export function promote_high(x: v128): v128 {
  return f64x2.promote_low_f32x4(i8x16.shuffle(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15))
}

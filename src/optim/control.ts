// The buffers through which optimizer kernels share what depends on data, so that nothing is read
// back during a step.
//
//   control   0-1 accumulator of the norm, 2 norm, 3 clip factor, 4 non-finite flag (0 or 1)
//   clocks    four elements per parameter: 0 steps applied, 1-3 what the optimizer derives from it
//
// The accumulator is a double: two elements of a float32 buffer, the first of a float64 one.

import type { Floats } from '../core/backend.ts'

export const CONTROL_SIZE = 5
export const NORM = 2
export const FACTOR = 3
export const NON_FINITE = 4

export const CLOCK_SIZE = 4

/** Whether this step must change nothing. */
export function refused(control: Floats): boolean {
  return control[NON_FINITE] !== 0
}

/** What gradients are multiplied by: the clip factor, with the sign of the direction. */
export function gradientFactor(control: Floats, maximize: number): number {
  return maximize ? -control[FACTOR] : control[FACTOR]
}

/** base^count for a whole count, by squaring: correct to count·2⁻⁵², and the same in every engine. */
export function wholePower(base: number, count: number): number {
  let result = 1
  for (let left = count; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) {
      result *= base
    }
    base *= base
  }
  return result
}

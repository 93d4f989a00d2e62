//   erf(x) = 2/√π ∫₀ˣ e^(-t²) dt = x + x S(x²) for |x| < 1, else ± (1 - exp(-T(|x|)))
// S is minimax in f32 coefficients on [0, 1] (relative error 2⁻²⁹), T on [1, 3.93], weighted by
// erfc(x) (error of erf 2⁻²⁸), by Sollya's fpminimax and remez.

import { EXP, exp_normal } from './exp'
import { constant, sign_bits } from './lanes'

// Beyond 3.84 erf(x) rounds to 1.
const ERF: usize = memory.data<f32>([
  7.9241304774770648e-5, // 0: S, highest power first
  -8.031835895963013e-4,
  5.1908446475863457e-3,
  -2.68551744520664215e-2,
  0.112836189568042755,
  -0.37612628936767578,
  0.12837916612625122,
  -1.85573982889764e-4, // 28: T, highest power first
  2.939607016742229e-3,
  -2.180531807243824e-2,
  0.10303736478090286,
  0.63822567462921143,
  1.1270400285720825,
  3.537197480909526e-4,
  3.9375, // 56
])

@inline
function horner6(x: v128, table: usize): v128 {
  let y = f32x4.add(f32x4.mul(x, constant(table, 0)), constant(table, 4))
  y = f32x4.add(f32x4.mul(x, y), constant(table, 8))
  y = f32x4.add(f32x4.mul(x, y), constant(table, 12))
  y = f32x4.add(f32x4.mul(x, y), constant(table, 16))
  y = f32x4.add(f32x4.mul(x, y), constant(table, 20))
  return f32x4.add(f32x4.mul(x, y), constant(table, 24))
}

/** erf(x) = 2/√π ∫₀ˣ e^(-t²) dt, at most 2 ulp off. */
@inline
export function erf_f32x4(x: v128): v128 {
  const one = constant(EXP, 40)
  const a = f32x4.pmin(f32x4.abs(x), constant(ERF, 56))
  const near = f32x4.add(a, f32x4.mul(a, horner6(f32x4.mul(a, a), ERF)))
  const far = f32x4.sub(one, exp_normal(f32x4.neg(horner6(a, ERF + 28))))
  return v128.or(v128.bitselect(near, far, f32x4.lt(a, one)), sign_bits(x))
}

// erf(x) = 2/√π ∫₀ˣ e^(-t²) dt, odd:
//   |x| < 27/32: erf(x) = x + x S(x²)
//   else:        erf(x) = 1 - e^(-x²) W((x - 1) / (x + 3)),  W = e^(x²) erfc(x)
// S is minimax on 0 <= x <= 27/32 (relative error 2⁻⁵⁶), W on 27/32 <= x <= 6, weighted by e^(-x²)
// (error of erf 2⁻⁵⁷).
import { exp } from './exp.ts'

function nearSeries(z: number): number {
  let s = 1.0723092351949087e-8
  s = s * z - 1.5713084211094307e-7
  s = s * z + 0.0000016401395633550165
  s = s * z - 0.000014922099232143673
  s = s * z + 0.00012055198629064135
  s = s * z - 0.0008548323742302128
  s = s * z + 0.005223977575232247
  s = s * z - 0.026866170640617533
  s = s * z + 0.11283791670934039
  s = s * z - 0.37612638903183354
  return s * z + 0.12837916709551256
}

function farSeries(u: number): number {
  let w = -0.0006887347726583657
  w = w * u + 0.00256976868339627
  w = w * u + 0.00012776572581554718
  w = w * u - 0.008375691865434274
  w = w * u - 0.0021788029098864007
  w = w * u + 0.0426411072976035
  w = w * u - 0.022371532140259717
  w = w * u - 0.22394683022375747
  w = w * u + 0.7239166811253865
  w = w * u - 1.2234841074781748
  w = w * u + 1.377096922814909
  w = w * u - 1.0928480591355947
  return w * u + 0.427583576155807
}

/** The error function, at most 1 ulp off. */
export function erf(x: number): number {
  const a = Math.abs(x)
  if (a < 0.84375) {
    return x + x * nearSeries(x * x)
  }
  const y = a > 6 ? 1 : 1 - exp(-a * a) * farSeries((a - 1) / (a + 3))
  return x < 0 ? -y : y
}

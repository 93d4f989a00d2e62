// erf(x) = 2/√π ∫₀ˣ e^(-t²) dt, odd:
//   |x| < 1: erf(x) = x + x S(x²)
//   else:    erf(x) = 1 - e^(-x²) W((x - 1) / (x + 3)),  W = e^(x²) erfc(x)
// S is minimax on [0, 1] (relative error 2⁻⁵⁶), W on 1 <= x <= 6, weighted by e^(-x²) (error of
// erf 2⁻⁵⁵·⁶).
import { exp } from './exp.ts'

function nearSeries(z: number): number {
  let s = -7.787140263470817e-10
  s = s * z + 1.3714890690919662e-8
  s = s * z - 1.6207152295405467e-7
  s = s * z + 0.0000016447228937059575
  s = s * z - 0.000014924718787983074
  s = s * z + 0.00012055293808155598
  s = s * z - 0.0008548325931727704
  s = s * z + 0.005223977605995373
  s = s * z - 0.02686617064306099
  s = s * z + 0.11283791670943447
  s = s * z - 0.37612638903183476
  return s * z + 0.12837916709551256
}

function farSeries(u: number): number {
  let w = 0.0013150484799482468
  w = w * u + 0.0011148795502413566
  w = w * u - 0.00881582631297267
  w = w * u - 0.00205608119056538
  w = w * u + 0.042618832715781416
  w = w * u - 0.022368875830018727
  w = w * u - 0.2239470354225151
  w = w * u + 0.7239166909993787
  w = w * u - 1.2234841077527732
  w = w * u + 1.3770969228187417
  w = w * u - 1.0928480591356144
  return w * u + 0.427583576155807
}

/** The error function, at most 1 ulp off. */
export function erf(x: number): number {
  const a = Math.abs(x)
  if (a < 1) {
    return x + x * nearSeries(x * x)
  }
  const y = a > 6 ? 1 : 1 - exp(-a * a) * farSeries((a - 1) / (a + 3))
  return x < 0 ? -y : y
}

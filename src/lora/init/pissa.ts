// PiSSA: the adapter starts as the principal part of W [out, in]. With W = U·diag(σ)·Vᵀ cut to rank
// r, A = √(Σ/s)·Vᵀ [r, in], B = U·√(Σ/s) [out, r], so that s·B·A = U·Σ·Vᵀ, which is then taken from the
// base. `pissa_niter_n` finds U, Σ, V by n rounds of randomised iteration among a few directions more
// than it keeps: direction r is off by (σ of the first that is left out / σ of its own)^(2n + 1), and the
// first that is left out is so a smaller one.
// Source: Meng et al. 2024, "PiSSA" (arXiv 2404.02948), equations 2 to 4; PEFT 0.21, `pissa_init` (which
// samples r directions); Halko, Martinsson and Tropp (arXiv 0909.4061), section 1.3.3.

import { Random } from '../../core/rng.ts'
import { leadingSvd } from '../../linalg/partial.ts'
import { randomizedSvd } from '../../linalg/randomized.ts'
import type { Svd } from '../../linalg/svd.ts'
import type { Extension } from '../extension.ts'
import {
  asDraws,
  asksFor,
  checkScaling,
  kindRefusal,
  type OrientedWeight,
  orientedWeight,
  type StartMatrices,
  scalingRefusal,
  toRank,
} from './oriented.ts'

const FAST = /^pissa_niter_(\d+)$/

/** The number of rounds in `pissa_niter_n`; none for another name. */
export function pissaIterations(name: string): number | undefined {
  const match = FAST.exec(name)
  return match ? Number(match[1]) : undefined
}

function split(
  { u, s, vt, k }: Svd,
  weight: OrientedWeight,
  r: number,
  scaling: number,
): StartMatrices {
  const roots = s.map(value => Math.sqrt(value / scaling))
  const A = vt.map((value, at) => value * roots[Math.floor(at / weight.cols)])
  const B = u.map((value, at) => value * roots[at % k])
  return toRank({ A, B }, weight, k, r)
}

/** The exact start. Throws `config` for a scaling that is not positive. */
export function pissa(weight: OrientedWeight, r: number, scaling: number): StartMatrices {
  checkScaling('pissa', scaling)
  const { data, rows, cols } = weight
  const k = Math.min(r, rows, cols)
  return split(leadingSvd(data, rows, cols, k), weight, r, scaling)
}

/** How many directions more than r are sampled. */
const EXTRA = 10

/** The first r of more directions. */
function first({ u, s, vt, k }: Svd, cols: number, r: number): Svd {
  return { u: u.filter((_, at) => at % k < r), s: s.slice(0, r), vt: vt.slice(0, r * cols), k: r }
}

/** The start from randomised iteration. */
export function fastPissa(
  weight: OrientedWeight,
  r: number,
  scaling: number,
  iterations: number,
  random: Random,
): StartMatrices {
  checkScaling('pissa', scaling)
  const { data, rows, cols } = weight
  const most = Math.min(rows, cols)
  const sampled = Math.min(r + EXTRA, most)
  const found = randomizedSvd(data, rows, cols, sampled, { iterations, random })
  return split(first(found, cols, Math.min(r, most)), weight, r, scaling)
}

const NAMES = /^pissa(_niter_\d+)?$/

/** `initLoraWeights: 'pissa'` and `'pissa_niter_n'`. */
export const pissaStart: Extension = {
  name: 'pissa',
  initialisations: ['pissa', FAST],
  refusal: (config, { base, scaling }) =>
    asksFor(config, NAMES)
      ? (kindRefusal('pissa', base, ['linear', 'conv1d']) ?? scalingRefusal(scaling))
      : undefined,
  takenFromBase(config, { base, path, r, scaling }) {
    if (!asksFor(config, NAMES)) {
      return undefined
    }
    const iterations = pissaIterations(String(config.initLoraWeights))
    const weight = orientedWeight(base)
    // Drawn by the path alone: reading the adapter must find the same start again.
    const random = new Random(0, `pissa/${path}`)
    return asDraws(
      iterations === undefined
        ? pissa(weight, r, scaling)
        : fastPissa(weight, r, scaling, iterations, random),
    )
  },
}

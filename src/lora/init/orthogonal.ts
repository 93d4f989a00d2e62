// Orthogonal: A and B are both random, yet B·A = 0. With Q [r, r] the orthogonal factor of a normal
// matrix, A = (N₁·Q₀,₂,₄…)ᵀ / 10 [r, in] and B = N₂·Q₁,₃,₅… / 10 [out, r], where N₁ [in, r/2] and
// N₂ [out, r/2] are normal: rows of Q with even and odd numbers are orthogonal to each other.
// Source: datta0.github.io/posts/rethink-lora-init; PEFT 0.21, `orthogonal_init`.

import { LowrankError } from '../../core/errors.ts'
import { hashName, Random } from '../../core/rng.ts'
import { multiply, transpose } from '../../linalg/dense.ts'
import { qr } from '../../linalg/qr.ts'
import type { Extension } from '../extension.ts'
import { asDraws, asksFor, kindRefusal, type StartMatrices } from './oriented.ts'

const DIVISOR = 10

/** The rows of a square matrix with numbers first, first + 2, … */
function everySecondRow(q: Float64Array, r: number, first: number): Float64Array {
  return q.filter((_, at) => Math.floor(at / r) % 2 === first)
}

function drawMatrix(random: Random, count: number): Float64Array {
  return Float64Array.from({ length: count }, () => random.normal() / DIVISOR)
}

function rankRefusal(r: number): string | undefined {
  return r % 2 === 0 ? undefined : `has r ${r}, while "orthogonal" takes even ranks alone`
}

/** Throws `config` for an odd rank. */
export function orthogonal(
  inFeatures: number,
  outFeatures: number,
  r: number,
  random: Random,
): StartMatrices {
  const reason = rankRefusal(r)
  if (reason) {
    throw new LowrankError('config', `orthogonal: the layer ${reason}`)
  }
  const half = r / 2
  const normal = Float64Array.from({ length: r * r }, () => random.normal())
  const { q } = qr(normal, r, r)
  const left = multiply(
    drawMatrix(random, inFeatures * half),
    everySecondRow(q, r, 0),
    inFeatures,
    half,
    r,
  )
  const B = multiply(
    drawMatrix(random, outFeatures * half),
    everySecondRow(q, r, 1),
    outFeatures,
    half,
    r,
  )
  return { A: transpose(left, inFeatures, r), B }
}

/** `initLoraWeights: 'orthogonal'`. */
export const orthogonalStart: Extension = {
  name: 'orthogonal',
  initialisations: ['orthogonal'],
  refusal: (config, { base, r }) =>
    asksFor(config, 'orthogonal')
      ? (kindRefusal('orthogonal', base, ['linear', 'conv1d']) ?? rankRefusal(r))
      : undefined,
  initialise(config, { base, path, r, seed, stream }) {
    if (!asksFor(config, 'orthogonal')) {
      return undefined
    }
    const random = new Random(seed, hashName(`${stream}/${path}/orthogonal`))
    return asDraws(orthogonal(base.inFeatures, base.outFeatures, r, random))
  },
}

// Orthogonal: A and B are both random, yet B·A = 0. With Q [r, r] the orthogonal factor of a normal
// matrix, A = (N₁·Q₀,₂,₄…)ᵀ / 10 [r, in] and B = N₂·Q₁,₃,₅… / 10 [out, r], where N₁ [in, r/2] and
// N₂ [out, r/2] are normal: rows of Q with even and odd numbers are orthogonal to each other.
// Source: datta0.github.io/posts/rethink-lora-init; PEFT 0.21, `orthogonal_init`.

import { LowrankError } from '../../core/errors.ts'
import type { Random } from '../../core/rng.ts'
import { multiply, transpose } from '../../linalg/dense.ts'
import { qr } from '../../linalg/qr.ts'
import type { StartMatrices } from './oriented.ts'

const DIVISOR = 10

/** The rows of a square matrix with numbers first, first + 2, … */
function everySecondRow(q: Float64Array, r: number, first: number): Float64Array {
  return q.filter((_, at) => Math.floor(at / r) % 2 === first)
}

function drawMatrix(random: Random, count: number): Float64Array {
  return Float64Array.from({ length: count }, () => random.normal() / DIVISOR)
}

/** Throws `config` for an odd rank. */
export function orthogonal(
  inFeatures: number,
  outFeatures: number,
  r: number,
  random: Random,
): StartMatrices {
  if (r % 2 !== 0) {
    throw new LowrankError('config', `orthogonal: expected an even rank, got r ${r}`)
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

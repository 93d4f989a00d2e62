// The singular values σ₁ ≥ σ₂ ≥ … of ΔW = s·B·A, and how many of them matter: the effective rank
// exp(−Σ pₖ·log pₖ) with pₖ = σₖ / Σσ, between 1 and R.
// Source: Roy and Vetterli, "The effective rank: a measure of effective dimensionality" (2007),
// whose shares are of σ, not of σ².

import { LowrankError } from '../core/errors.ts'
import { exp, log } from '../core/math.ts'
import { type LayerUpdate, svdOfUpdate } from './update.ts'

/**
 * The singular values of s·B·A [O, I], descending: min(R, O, I) of them.
 *
 * Only R × R numbers are decomposed. Throws `numeric` on NaN or infinity in the adapter and
 * `argument` for an empty list of adapters, and `target` for variants that change the whole weight, as DoRA
 * does.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { singularValues } from 'lowrank/analysis'
 *
 * const layer = attach(new Linear(16, 8), { r: 2 })
 * console.log(await singularValues(layer.states())) // Float64Array [0, 0]
 * ```
 */
export async function singularValues(update: LayerUpdate): Promise<Float64Array> {
  return (await svdOfUpdate('singularValues', update)).s
}

/**
 * The effective rank of a matrix with these singular values: 1 for a single direction, n for n
 * equal ones, 0 if all are zero. Source: Roy and Vetterli (2007), definition 1.
 *
 * Throws `argument` for values that are negative or not finite.
 *
 * @example
 * ```ts
 * import { effectiveRank } from 'lowrank/analysis'
 *
 * console.log(effectiveRank([5, 0, 0]), effectiveRank([2, 2]).toFixed(6)) // 1 2.000000
 * ```
 */
export function effectiveRank(singular: ArrayLike<number>): number {
  const values = Array.from(singular)
  const bad = values.find(value => !(value >= 0 && Number.isFinite(value)))
  if (bad !== undefined) {
    throw new LowrankError(
      'argument',
      `effectiveRank: expected singular values, from 0 up and finite, got ${bad}`,
    )
  }
  const largest = Math.max(0, ...values)
  if (largest === 0) {
    return 0
  }
  // Relative to the largest, the sum cannot overflow.
  const sum = values.reduce((total, value) => total + value / largest, 0)
  const shares = values.map(value => value / largest / sum).filter(share => share > 0)
  return exp(-shares.reduce((entropy, share) => entropy + share * log(share), 0))
}

// Updates of one shape become one: pruned or not, then either summed, Σ wᵢ·xᵢ (task arithmetic,
// Ilharco et al. 2022, arXiv 2212.04089), or their majority taken per entry (TIES). Signs and sizes
// are judged before the weights, as in PEFT.

import type { Random } from '../../core/rng.ts'
import type { CombineSettings, Rule } from './options.ts'
import { pruneAtRandom, pruneByMagnitude } from './prune.ts'
import { meanOfMajority } from './sign.ts'

/** Σ wᵢ·xᵢ. */
export function weightedSum(
  values: readonly Float64Array[],
  weights: readonly number[],
): Float64Array {
  const sum = new Float64Array(values[0].length)
  values.forEach((own, i) => {
    for (let at = 0; at < own.length; at++) {
      sum[at] += weights[i] * own[at]
    }
  })
  return sum
}

/** What is left of each update; `draw` gives the random numbers of update i. */
function pruned(
  { pruning }: Rule,
  values: readonly Float64Array[],
  density: number,
  draw: (i: number) => Random,
): readonly Float64Array[] {
  switch (pruning) {
    case 'magnitude':
      return values.map(own => pruneByMagnitude(own, density))
    case 'random':
      return values.map((own, i) => pruneAtRandom(own, density, draw(i)))
    case 'none':
      return values
  }
}

/** Prunes and merges updates of one shape by the rule of a combination. */
export function mergeUpdates(
  { rule, density, majoritySignMethod }: CombineSettings,
  values: readonly Float64Array[],
  weights: readonly number[],
  draw: (i: number) => Random,
): Float64Array {
  const kept = pruned(rule, values, density, draw)
  return rule.majority
    ? meanOfMajority(kept, weights, majoritySignMethod)
    : weightedSum(kept, weights)
}

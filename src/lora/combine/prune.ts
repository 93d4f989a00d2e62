// Leaving out most entries of an update: the largest ⌊density · n⌋ stay (magnitude), or each one
// stays with probability `density` and is divided by it, so that the expectation stays (random).
// Sources: Yadav et al. 2023, "TIES-merging" (arXiv 2306.01708), section 4.1, step 1; Yu et al. 2023,
// "DARE" (arXiv 2311.03099), section 3.2. As in PEFT, a density of 1 prunes nothing.

import type { Random } from '../../core/rng.ts'

/** The indices of the `count` largest magnitudes; of equal ones the first. */
function largest(values: Float64Array, count: number): Uint32Array {
  const order = Uint32Array.from(values.keys())
  order.sort((i, j) => Math.abs(values[j]) - Math.abs(values[i]) || i - j)
  return order.subarray(0, count)
}

/** Keeps the ⌊density · n⌋ entries of the largest magnitude. */
export function pruneByMagnitude(values: Float64Array, density: number): Float64Array {
  const pruned = new Float64Array(values.length)
  for (const i of largest(values, Math.floor(density * values.length))) {
    pruned[i] = values[i]
  }
  return pruned
}

/** Keeps each entry with probability `density`, divided by it. */
export function pruneAtRandom(values: Float64Array, density: number, random: Random): Float64Array {
  return values.map(value => (random.uniform() < density ? value / density : 0))
}

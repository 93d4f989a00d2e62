// Electing one sign per entry among several updates, and the mean of those that agree with it:
// sign γ = +1 where Σ x ≥ 0 (`total`) or where at least as many are positive as negative
// (`frequency`), else −1; the result is Σ w·x over the x with sign(x) = γ, divided by their number.
// A zero has no sign and never counts.
// Source: Yadav et al. 2023, "TIES-merging" (arXiv 2306.01708), section 4.1, steps 2 and 3.

/** What a sign is elected by: the sum of the values, or the number of them. */
export type MajoritySignMethod = 'total' | 'frequency'

function elected(values: readonly Float64Array[], at: number, method: MajoritySignMethod): 1 | -1 {
  let sum = 0
  for (const { [at]: value } of values) {
    sum += method === 'total' ? value : Math.sign(value)
  }
  return sum >= 0 ? 1 : -1
}

/** The weighted mean, per entry, of the values that have the elected sign. */
export function meanOfMajority(
  values: readonly Float64Array[],
  weights: readonly number[],
  method: MajoritySignMethod,
): Float64Array {
  const merged = new Float64Array(values[0].length)
  for (let at = 0; at < merged.length; at++) {
    const sign = elected(values, at, method)
    let sum = 0
    let count = 0
    values.forEach((own, i) => {
      if (Math.sign(own[at]) === sign) {
        sum += weights[i] * own[at]
        count++
      }
    })
    merged[at] = sum / Math.max(count, 1)
  }
  return merged
}

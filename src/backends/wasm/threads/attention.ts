// How attention is cut: entries of the batch, or where there is only one, groups of heads that share
// keys.

import { LEAST_PRODUCT, type Rule } from './split.ts'

/** Where the operands of an attention kernel are, in the order of src/ops/attention.ts. */
interface AttentionPlaces {
  /** Offsets, with batch and head strides after them: those of queries, then of keys and values. */
  readonly queries: readonly number[]
  readonly keys: readonly number[]
  /** The mask, with kind, batch and head strides after it. */
  readonly mask: number
  readonly lse: number
  /** B, with H, the group, Tq, Tk, D, Dv after it. */
  readonly sizes: number
  readonly scratch: number
}

/** Entries of the batch, or where there is only one, groups of heads that share keys. */
function attention(places: AttentionPlaces): Rule {
  const { queries, keys, mask, lse, sizes, scratch } = places
  return operands => {
    const [B, H, group, Tq, Tk, D, Dv] = operands.slice(sizes)
    // Gradients of keys that entries share are sums over all of them.
    const shared = keys.some(at => operands[at + 1] === 0 || operands[at + 2] === 0)
    if (shared || B * H * Tq * Tk * (D + Dv) < LEAST_PRODUCT) {
      return undefined
    }
    const byBatch = B > 1
    const stride = byBatch ? 1 : 2
    const moves = [
      ...queries.map(at => [at, operands[at + stride]] as const),
      ...keys.map(at => [at, operands[at + stride] / (byBatch ? 1 : group)] as const),
      [mask, 4 * operands[mask + 1 + stride]] as const,
      [lse, 4 * Tq * (byBatch ? H : 1)] as const,
    ]
    const [count, grain] = byBatch ? [sizes, 1] : [sizes + 1, group]
    return { count, units: operands[count], grain, moves, scratch }
  }
}

export const attentionForward: Rule = attention({
  queries: [1, 22],
  keys: [6, 11],
  mask: 15,
  lse: 26,
  sizes: 27,
  scratch: 39,
})

const backward = attention({
  queries: [1, 6],
  keys: [11, 16],
  mask: 20,
  lse: 26,
  sizes: 35,
  scratch: 47,
})

/** The gradient of a mask is a sum over entries that share it. */
const NEEDS_MASK = 34

export const attentionBackward: Rule = operands =>
  operands[NEEDS_MASK] ? undefined : backward(operands)

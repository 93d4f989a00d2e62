// Batches: examples of like length together, padded at the right to the longest. With causal
// attention a token never sees what is to its right, so padding needs no mask, only no label.

import type { Backend } from '../core/backend.ts'
import { Random } from '../core/rng.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { IGNORE_INDEX } from '../models/causal_lm.ts'
import type { TokenizedExample } from './data.ts'

export interface Batch {
  /** [B, T]. */
  readonly inputIds: Tensor
  /** [B, T]; IGNORE_INDEX where nothing is learned. */
  readonly labels: Tensor
  /** Tokens that are learned: what the mean of the loss is over. */
  readonly learned: number
  /** Tokens that are not padding. */
  readonly tokens: number
}

/** Batches taken from one stretch of this many are sorted by length, then shuffled again. */
const STRETCH = 8

export interface BatchOptions {
  readonly batchSize: number
  readonly padTokenId: number
  readonly backend: Backend
}

/** Pads examples into one batch. */
export function collate(examples: readonly TokenizedExample[], options: BatchOptions): Batch {
  const B = examples.length
  const T = Math.max(...examples.map(({ ids }) => ids.length))
  const inputIds = new Int32Array(B * T).fill(options.padTokenId)
  const labels = new Int32Array(B * T).fill(IGNORE_INDEX)
  let learned = 0
  let tokens = 0
  examples.forEach((example, b) => {
    inputIds.set(example.ids, b * T)
    labels.set(example.labels, b * T)
    learned += example.labels.filter((label, t) => t > 0 && label !== IGNORE_INDEX).length
    tokens += example.ids.length
  })
  const int32 = { dtype: 'int32', backend: options.backend } as const
  return {
    inputIds: tensor(inputIds, [B, T], int32),
    labels: tensor(labels, [B, T], int32),
    learned,
    tokens,
  }
}

function inGroups<T>(items: readonly T[], size: number): T[][] {
  const groups: T[][] = []
  for (let i = 0; i < items.length; i += size) {
    groups.push(items.slice(i, i + size))
  }
  return groups
}

/** The order of one epoch: a pure function of seed and epoch, so that a run can be resumed. */
export function epochOrder(
  examples: readonly TokenizedExample[],
  batchSize: number,
  seed: number,
  epoch: number,
): TokenizedExample[][] {
  const random = new Random(seed, `epoch ${epoch}`)
  const stretches = inGroups(random.shuffle(examples), batchSize * STRETCH)
  const groups = stretches.flatMap(stretch =>
    inGroups(
      stretch.sort((a, b) => a.ids.length - b.ids.length),
      batchSize,
    ),
  )
  return random.shuffle(groups)
}

/** All examples once, longest first, for evaluation. */
export function evaluationOrder(
  examples: readonly TokenizedExample[],
  batchSize: number,
): TokenizedExample[][] {
  return inGroups(
    [...examples].sort((a, b) => b.ids.length - a.ids.length),
    batchSize,
  )
}

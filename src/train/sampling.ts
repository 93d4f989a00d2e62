// From scores to the next token, as transformers' generate does it, in its order: repetition penalty
// (Keskar et al. 2019, arXiv 1909.05858), temperature, top-k, top-p (Holtzman et al. 2019, arXiv
// 1904.09751). Excluded tokens get −∞.

import { LowrankError, throwAll } from '../core/errors.ts'
import { exp } from '../core/math.ts'
import type { Random } from '../core/rng.ts'

export interface SamplingOptions {
  /** Scores are divided by it; 0 takes the best token, always. 0 if absent. */
  readonly temperature?: number
  /** Only the k best tokens, and those tied with the k-th. */
  readonly topK?: number
  /** Only the fewest best tokens whose probabilities reach it. */
  readonly topP?: number
  /** Above 1: tokens that occurred, prompt included, are made less likely. */
  readonly repetitionPenalty?: number
}

/** Throws an `argument` error that lists every option out of range. */
export function checkSampling(where: string, options: SamplingOptions): void {
  const { temperature = 0, topK = 1, topP = 1, repetitionPenalty = 1 } = options
  const problems: string[] = []
  if (!(temperature >= 0 && Number.isFinite(temperature))) {
    problems.push(`temperature: expected a number from 0 up, got ${temperature}`)
  }
  if (!Number.isInteger(topK) || topK < 1) {
    problems.push(`topK: expected a whole number from 1 up, got ${topK}`)
  }
  if (!(topP > 0 && topP <= 1)) {
    problems.push(`topP: expected a number in (0, 1], got ${topP}`)
  }
  if (!(repetitionPenalty > 0)) {
    problems.push(`repetitionPenalty: expected a number above 0, got ${repetitionPenalty}`)
  }
  throwAll('argument', where, problems)
}

function penalize(scores: Float64Array, history: Iterable<number>, penalty: number): void {
  for (const token of new Set(history)) {
    const score = scores[token]
    scores[token] = score < 0 ? score * penalty : score / penalty
  }
}

function keepTopK(scores: Float64Array, k: number): void {
  if (k >= scores.length) {
    return
  }
  const least = scores.slice().sort()[scores.length - k]
  for (let i = 0; i < scores.length; i++) {
    if (scores[i] < least) {
      scores[i] = Number.NEGATIVE_INFINITY
    }
  }
}

/** exp(score − max) / Σ: the probabilities of a row of scores [V]. */
export function probabilities(scores: ArrayLike<number>): Float64Array {
  let best = Number.NEGATIVE_INFINITY
  for (let i = 0; i < scores.length; i++) {
    best = Math.max(best, scores[i])
  }
  let sum = 0
  const weights = Float64Array.from(scores, score => {
    const weight = exp(score - best)
    sum += weight
    return weight
  })
  return weights.map(weight => weight / sum)
}

function keepTopP(scores: Float64Array, topP: number): void {
  const shares = probabilities(scores)
  const order = Array.from(scores.keys()).sort((a, b) => shares[b] - shares[a] || b - a)
  let reached = 0
  for (const [rank, token] of order.entries()) {
    if (rank > 0 && reached >= topP) {
      scores[token] = Number.NEGATIVE_INFINITY
    }
    reached += shares[token]
  }
}

/** The scores [V] of one row after all processors; `history` is every token of the row so far. */
export function processScores(
  logits: ArrayLike<number>,
  history: Iterable<number>,
  options: SamplingOptions,
): Float64Array {
  const scores = Float64Array.from(logits)
  const { temperature = 0, topK, topP, repetitionPenalty = 1 } = options
  if (repetitionPenalty !== 1) {
    penalize(scores, history, repetitionPenalty)
  }
  if (temperature === 0) {
    return scores
  }
  for (let i = 0; i < scores.length; i++) {
    scores[i] /= temperature
  }
  if (topK !== undefined) {
    keepTopK(scores, topK)
  }
  if (topP !== undefined && topP < 1) {
    keepTopP(scores, topP)
  }
  return scores
}

/** The index of the greatest score, the first of equals. */
export function best(scores: ArrayLike<number>): number {
  let at = 0
  for (let i = 1; i < scores.length; i++) {
    if (scores[i] > scores[at]) {
      at = i
    }
  }
  return at
}

/** The next token of one row. Throws a `numeric` error if no score is finite. */
export function nextToken(
  logits: ArrayLike<number>,
  history: Iterable<number>,
  options: SamplingOptions,
  random: Random,
): number {
  const scores = processScores(logits, history, options)
  const greedy = best(scores)
  if (!Number.isFinite(scores[greedy])) {
    throw new LowrankError(
      'numeric',
      `generate: the best of ${scores.length} scores is ${scores[greedy]} (is a weight NaN?)`,
    )
  }
  if ((options.temperature ?? 0) === 0) {
    return greedy
  }
  const shares = probabilities(scores)
  let left = random.uniform()
  for (let token = 0; token < shares.length; token++) {
    left -= shares[token]
    if (left < 0) {
      return token
    }
  }
  return greedy
}

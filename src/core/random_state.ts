// Where random draws come from when nobody names a stream: one seed, and a count of the draws so
// far. A trainer sets both for each step, so that step n draws the same whatever ran before it.

import { LowrankError } from './errors.ts'
import { hashName } from './rng.ts'

/** Names one stream of a counter-based generator. */
export interface Draw {
  readonly seed: number
  readonly stream: number
}

interface Draws {
  readonly seed: number
  readonly origin: number
  count: number
}

let current: Draws = { seed: 0, origin: 0, count: 0 }

/**
 * Seeds everything random that comes after: initial weights, dropout. Throws an `argument` error for
 * what is no whole number from 0 up.
 *
 * @example
 * ```ts
 * import { Linear, manualSeed } from 'lowrank'
 *
 * manualSeed(7)
 * const first = new Linear(2, 2).weight.dataSync()
 * manualSeed(7)
 * console.log(new Linear(2, 2).weight.dataSync()[0] === first[0]) // true
 * ```
 */
export function manualSeed(seed: number): void {
  if (!(Number.isSafeInteger(seed) && seed >= 0)) {
    throw new LowrankError('argument', `manualSeed: expected a whole number from 0 up, got ${seed}`)
  }
  current = { seed, origin: 0, count: 0 }
}

/** The next stream: no two calls after one seed give the same. */
export function nextDraw(): Draw {
  const { seed, origin } = current
  return { seed, stream: hashName(`${origin}/${current.count++}`) }
}

/** Runs `fn` with draws of its own, counted from the start, and restores what was before. */
export function withDraws<T>({ seed, stream }: Draw, fn: () => T): T {
  const before = current
  current = { seed, origin: stream + 1, count: 0 }
  try {
    return fn()
  } finally {
    current = before
  }
}

/** A bookmark: gives back a function that runs another with the draws that come next now. */
export function replayDraws(): <T>(fn: () => T) => T {
  const start = { ...current }
  return fn => {
    const before = current
    current = { ...start }
    try {
      return fn()
    } finally {
      current = before
    }
  }
}

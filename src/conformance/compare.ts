// How an answer is compared with the stored values. The scaled error of a tensor is
//
//   max|got − want| / max|want|   over the finite entries of want, or max|got| where want is zero,
//
// and it is infinite where NaN or infinities are not where they are in want. −0 equals 0.

import { formatShape, sameShape } from '../core/shape.ts'
import type { CaseTensor } from './case.ts'

/** One comparison of a case: it passes if `error` is at most `tolerance`. */
export interface Check {
  /** The output, or what was expected of it. */
  readonly what: string
  readonly error: number
  readonly tolerance: number
  /** What is wrong, where a number does not say it. */
  readonly note?: string
}

/** What an implementation answers for one output. */
export interface Answered {
  readonly shape: readonly number[]
  readonly data: ArrayLike<number>
}

/** The scaled error of `got`; Infinity if it has another length. */
export function scaledError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) {
    return Number.POSITIVE_INFINITY
  }
  let difference = 0
  let scale = 0
  for (let i = 0; i < want.length; i++) {
    if (Number.isFinite(want[i])) {
      difference = Math.max(difference, Math.abs(got[i] - want[i]))
      scale = Math.max(scale, Math.abs(want[i]))
      if (!Number.isFinite(got[i])) {
        return Number.POSITIVE_INFINITY
      }
    } else if (!Object.is(got[i], want[i])) {
      return Number.POSITIVE_INFINITY
    }
  }
  return scale > 0 ? difference / scale : difference
}

/** |got / want − 1|, for single numbers whose relative error is compared. */
export function relativeError(got: number, want: number): number {
  return got === want ? 0 : Math.abs(got / want - 1)
}

/** The index of the entry that is furthest off. */
export function worstEntry(got: ArrayLike<number>, want: ArrayLike<number>): number {
  let worst = 0
  let most = -1
  for (let i = 0; i < want.length; i++) {
    const off = Object.is(got[i], want[i]) ? 0 : Math.abs(got[i] - want[i])
    if (!(off <= most)) {
      worst = i
      most = Number.isNaN(off) ? Number.POSITIVE_INFINITY : off
    }
  }
  return worst
}

/** Compares one output: its shape, then its values. */
export function compareTensor(
  what: string,
  got: Answered | undefined,
  want: CaseTensor,
  tolerance: number,
): Check {
  const failed = (note: string): Check => {
    return { what, error: Number.POSITIVE_INFINITY, tolerance, note }
  }
  if (!got) {
    return failed('expected this output, got none')
  }
  if (!sameShape(got.shape, want.shape)) {
    return failed(`expected shape ${formatShape(want.shape)}, got ${formatShape(got.shape)}`)
  }
  const error = scaledError(got.data, want.data)
  if (error <= tolerance) {
    return { what, error, tolerance }
  }
  const at = worstEntry(got.data, want.data)
  const note = `[${at}]: expected ${want.data[at]}, got ${got.data[at]}`
  return { what, error, tolerance, note }
}

/** A check of what has no error: it is as it should be, or it is not. */
export function checkThat(what: string, ok: boolean, note: string): Check {
  return ok
    ? { what, error: 0, tolerance: 0 }
    : { what, error: Number.POSITIVE_INFINITY, tolerance: 0, note }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value.map(sorted)
  }
  if (value !== null && typeof value === 'object') {
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    return Object.fromEntries(entries.map(([key, item]) => [key, sorted(item)]))
  }
  return value
}

/** A check of two JSON values, whatever the order of their keys. */
export function checkEqual(what: string, got: unknown, want: unknown): Check {
  const [a, b] = [JSON.stringify(sorted(got)), JSON.stringify(sorted(want))]
  return checkThat(what, a === b, `expected ${b}, got ${a}`)
}

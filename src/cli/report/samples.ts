// Answers before and after training beside the wanted ones, with what differs marked.

import { diffWordsWithSpace } from 'diff'
import type { Prediction } from '../../train/index.ts'
import type { ReportData } from './data.ts'

/** A piece of an answer: as wanted, not wanted, or wanted and not there. */
export interface Piece {
  readonly kind: 'same' | 'extra' | 'missing'
  readonly text: string
}

export interface Answer {
  readonly exact: boolean
  readonly pieces: readonly Piece[]
}

export interface Sample {
  readonly prompt: string
  readonly want: string
  readonly before: Answer
  readonly after: Answer
}

/** Longer texts are cut; a report is not a log. */
const LONGEST = 1200
/** An answer that has less than this share of the wanted one is marked as a whole. */
const LEAST_COMMON = 0.4
/** Two texts with more changes than this have nothing to align. */
const MOST_EDITS = 400

function cut(text: string): string {
  const trimmed = text.trim()
  const rest = trimmed.length - LONGEST
  return rest > 0 ? `${trimmed.slice(0, LONGEST)} … (${rest} more characters)` : trimmed
}

/** In the order they are read: what stands there, then what should. */
function ordered(pieces: readonly Piece[]): Piece[] {
  const sorted = [...pieces]
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i].kind === 'extra' && sorted[i - 1].kind === 'missing') {
      ;[sorted[i - 1], sorted[i]] = [sorted[i], sorted[i - 1]]
    }
  }
  return sorted
}

/** What an answer has, lacks, and has too much of. */
export function compare(want: string, got: string): Piece[] {
  const whole: Piece[] = got === '' ? [] : [{ kind: 'extra', text: got }]
  const changes = diffWordsWithSpace(want, got, { maxEditLength: MOST_EDITS })
  if (changes === undefined) {
    return whole
  }
  const pieces = changes.map(({ added, removed, value }): Piece => {
    const kind = added ? 'extra' : removed ? 'missing' : 'same'
    return { kind, text: value }
  })
  const common = pieces
    .filter(({ kind }) => kind === 'same')
    .reduce((sum, { text }) => sum + text.length, 0)
  return common < LEAST_COMMON * want.length ? whole : ordered(pieces)
}

function answerOf({ want, got, exact }: Prediction): Answer {
  const text = cut(got)
  return { exact, pieces: exact ? [{ kind: 'same', text }] : compare(cut(want), text) }
}

export function samplesOf({ before, after }: ReportData): Sample[] {
  return before.slice(0, after.length).map((first, i) => ({
    prompt: cut(first.prompt),
    want: cut(first.want),
    before: answerOf(first),
    after: answerOf(after[i]),
  }))
}

// Sentences and their answers. A sentence is
//   [time,] [in the room,] [opening] clause [in the room] [time] [ending]
// where the clause has a hole for the thing meant, e.g. "dim {it} to thirty percent", and a frame says
// which of the optional parts stand where. The answer is one line of JSON, keys in the order
// tool, room, device, values, time. Three rules keep every sentence to one reading:
//   "the A B", "the A B C"   the room is A, one word, the rest is the device
//   "in the A", "in the A B" the room is everything after "in the"; the device then stands alone
//   "in the" is said of nothing but rooms

import type { Random } from '../../src/core/rng.ts'
import type { Said } from './numbers.ts'

/** A command and its answer: the prompt, and a newline followed by one line of JSON. */
export interface Example {
  readonly prompt: string
  readonly completion: string
}

/** An example kept for testing; its kind says which part of the test it belongs to. */
export interface HeldOut extends Example {
  readonly kind: string
}

/** A tool call: the tool's name, then its arguments in their order. */
export interface Call {
  readonly tool: string
  readonly [argument: string]: string | number
}

/** The completion for a call, with a time of day as its last argument if there is one. */
export function answer(call: Call, time?: Said<string>): string {
  const timed = time === undefined ? call : { ...call, time: time.value }
  return `\n${JSON.stringify(timed)}`
}

/** Whether prompt and completion together have at most so many characters. */
export function fits({ prompt, completion }: Example, characters: number): boolean {
  return prompt.length + completion.length <= characters
}

/** How a sentence begins and ends. */
export interface Opening {
  readonly name: string
  readonly before: string
  readonly after: string
  readonly question: boolean
}

const opening = (name: string, before: string, after = '', question = false): Opening => ({
  name,
  before,
  after,
  question,
})

/** Every opening that the base task knows, by name. */
export const OPENINGS: Readonly<Record<string, Opening>> = {
  plain: opening('plain', ''),
  please: opening('please', 'please '),
  pleaseLast: opening('pleaseLast', '', ' please'),
  couldYou: opening('couldYou', 'could you ', '', true),
  canYou: opening('canYou', 'can you ', '', true),
  wouldYou: opening('wouldYou', 'would you ', '', true),
  couldYouPlease: opening('couldYouPlease', 'could you ', ' please', true),
  iWantYouTo: opening('iWantYouTo', 'I want you to '),
  iNeedYouTo: opening('iNeedYouTo', 'I need you to '),
  rememberTo: opening('rememberTo', 'remember to '),
  goAheadAnd: opening('goAheadAnd', 'go ahead and '),
  itIsTimeTo: opening('itIsTimeTo', 'it is time to '),
}

/** Where the room is said: in the name of the thing, after it, first in the sentence, or last. */
export type Place = 'compound' | 'after' | 'front' | 'last'

/** Where the time is said. */
export type When = 'none' | 'front' | 'end'

/** A way of putting a sentence together. */
export interface Frame {
  readonly opening: Opening
  readonly place: Place
  readonly when: When
}

/** What a sentence is made of: a clause with the hole `{it}`, and the words that go into it. */
export interface Parts {
  readonly clause: string
  readonly room: string
  /** Absent where the tool is about the room alone: the hole then takes "the hall". */
  readonly device?: string
  /** A time with its preposition, e.g. "at nine". */
  readonly time?: string
}

const capitalized = (text: string): string => text[0].toUpperCase() + text.slice(1)

/** The words for the hole `{it}`. */
function thing(parts: Parts, place: Place): string {
  if (parts.device === undefined) {
    return `the ${parts.room}`
  }
  if (place === 'compound') {
    return `the ${parts.room} ${parts.device}`
  }
  return place === 'after' ? `the ${parts.device} in the ${parts.room}` : `the ${parts.device}`
}

/** The sentence, lower case at the start and without a mark at the end. */
export function sentence(parts: Parts, frame: Frame): string {
  const clause = parts.clause.replace('{it}', thing(parts, frame.place))
  const apart = parts.device !== undefined
  const pieces = [
    frame.when === 'front' ? `${parts.time}, ` : '',
    apart && frame.place === 'front' ? `in the ${parts.room}, ` : '',
    frame.opening.before,
    clause,
    apart && frame.place === 'last' ? ` in the ${parts.room}` : '',
    frame.when === 'end' ? ` ${parts.time}` : '',
    frame.opening.after,
  ]
  return pieces.join('')
}

/** Mostly a capital at the start; now and then a mark at the end. */
export function written(random: Random, text: string, question: boolean): string {
  const start = random.uniform() < 0.8 ? capitalized(text) : text
  const mark = question ? '?' : '.'
  return random.uniform() < 0.25 ? start + mark : start
}

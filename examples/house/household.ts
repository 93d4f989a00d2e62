// A household that the base has never seen, for the fine-tuning example: its own rooms and devices,
// its own idioms for five tools of the base ("give the nook lantern a third", "hush the pianola",
// "at dawn"), and one tool of its own, brew(room, device, drink, cups). Three held-out parts:
//   usual               as in training
//   unseen_phrasing     sentences put together in ways that no training example has; the base knows
//                       these ways from its own task, but not with the household's words
//   unseen_combination  room × device × tool triples that no training example has, although each
//                       room, device and tool has
// One in four triples is kept for the last part: that of room r and device-with-tool p is if r + 3p
// is a multiple of 4.

import { throwAll } from '../../src/core/errors.ts'
import { Random } from '../../src/core/rng.ts'
import {
  answer,
  type Example,
  type Frame,
  type HeldOut,
  OPENINGS,
  type Place,
  sentence,
  type When,
  written,
} from './grammar.ts'
import {
  CLAUSES,
  HOUSEHOLD_DEVICES,
  HOUSEHOLD_ROOMS,
  mostly,
  sayClock,
  TIMES,
} from './household-words.ts'

/** A way of putting sentences together: each part is drawn from one of these. */
interface Ways {
  readonly openings: readonly string[]
  readonly places: readonly Place[]
  readonly whens: readonly When[]
}

const TRAINED: Ways = {
  openings: ['plain', 'plain', 'plain', 'please', 'couldYou', 'iWantYouTo'],
  places: ['compound', 'compound', 'after'],
  whens: ['none', 'none', 'end', 'front'],
}

const UNSEEN: Ways = {
  openings: ['pleaseLast', 'canYou', 'wouldYou', 'iNeedYouTo', 'goAheadAnd', 'rememberTo'],
  places: ['front', 'last'],
  whens: ['none', 'none', 'end', 'front'],
}

function drawFrame(random: Random, openings: Ways, places: Ways): Frame {
  return {
    opening: OPENINGS[random.pick(openings.openings)],
    place: random.pick(places.places),
    when: random.pick(places.whens),
  }
}

/** A frame with an opening or a place of the room that no training example has, or with both. */
function unseenFrame(random: Random): Frame {
  const ways = (unseen: boolean): Ways => (unseen ? UNSEEN : TRAINED)
  const [opening, place] = random.pick([
    [true, false],
    [true, false],
    [false, true],
    [true, true],
  ])
  return drawFrame(random, ways(opening), ways(place))
}

/** A room, a device, and what is done with it. */
interface Triple {
  readonly room: string
  readonly device: string
  readonly tool: string
}

const DEVICE_TOOLS: readonly (readonly [device: string, tool: string])[] = Object.entries(
  HOUSEHOLD_DEVICES,
).flatMap(([device, tools]) => tools.map((tool): [string, string] => [device, tool]))

function triples(unseen: boolean): Triple[] {
  return DEVICE_TOOLS.flatMap(([device, tool], p) =>
    HOUSEHOLD_ROOMS.filter((_, r) => ((r + 3 * p) % 4 === 0) === unseen).map(room => ({
      room,
      device,
      tool,
    })),
  )
}

/** An example with what the checks need to know of it. */
export interface Drawn extends Example {
  readonly template: string
  readonly combination: string
}

/** The place, or another of its kind where it cannot be or would read like one of the others. */
function placeFor(place: Place, room: string, words: string): Place {
  if (place === 'compound' && room.includes(' ')) {
    return 'after'
  }
  return place === 'last' && words.endsWith('{it}') ? 'front' : place
}

function drawSentence(random: Random, triple: Triple, frame: Frame): Drawn {
  const { room, device, tool } = triple
  const clause = CLAUSES[tool](random)
  const time = frame.when === 'none' ? undefined : mostly(random, TIMES, sayClock)
  const place = placeFor(frame.place, room, clause.words)
  const parts = { clause: clause.words, room, device, time: time?.words }
  const text = sentence(parts, { ...frame, place })
  return {
    prompt: written(random, text, frame.opening.question),
    completion: answer({ tool, room, device, ...clause.values }, time),
    template: [clause.template, frame.opening.name, place, frame.when].join(' | '),
    combination: [room, device, tool].join(' | '),
  }
}

const MAX_LENGTH = 142

/** Characters, digits twice: each is a token of its own, as a word of letters may be. */
function lengthOf({ prompt, completion }: Drawn): number {
  const text = prompt + completion
  return text.length + text.replace(/\D/g, '').length
}

/** A sentence about these three that is not too long. */
function drawExample(random: Random, triple: Triple, frame: () => Frame): Drawn {
  while (true) {
    const example = drawSentence(random, triple, frame())
    if (lengthOf(example) <= MAX_LENGTH) {
      return example
    }
  }
}

/** All tools come up equally often, whatever the number of devices that take them. */
function drawTriple(random: Random, among: readonly Triple[]): Triple {
  const tool = random.pick(Object.keys(CLAUSES))
  return random.pick(among.filter(triple => triple.tool === tool))
}

/** `count` examples that differ from those taken in more than a capital or an end mark. */
function drawPart(count: number, taken: Set<string>, draw: (index: number) => Drawn): Drawn[] {
  const part: Drawn[] = []
  while (part.length < count) {
    const example = draw(part.length)
    const said = example.prompt.toLowerCase().replace(/[.?]$/, '')
    if (!taken.has(said)) {
      taken.add(said)
      part.push(example)
    }
  }
  return part
}

/** The household's data. */
export interface Household {
  readonly train: readonly Example[]
  readonly heldOut: readonly HeldOut[]
}

/** Training examples and the three parts of the test. */
export interface Parts {
  readonly train: readonly Drawn[]
  readonly usual: readonly Drawn[]
  readonly unseenPhrasing: readonly Drawn[]
  readonly unseenCombination: readonly Drawn[]
}

function drawParts(seed: number, trainCount: number, partCount: number): Parts {
  const random = new Random(seed, 'house.household')
  const taken = new Set<string>()
  const [seen, unseen] = [triples(false), triples(true)]
  const trained = (): Frame => drawFrame(random, TRAINED, TRAINED)
  const untrained = (): Frame => unseenFrame(random)
  const from = (among: readonly Triple[], frame: () => Frame): Drawn =>
    drawExample(random, drawTriple(random, among), frame)
  return {
    train: drawPart(trainCount, taken, i =>
      i < seen.length ? drawExample(random, seen[i], trained) : from(seen, trained),
    ),
    usual: drawPart(partCount, taken, () => from(seen, trained)),
    unseenPhrasing: drawPart(partCount, taken, () => from(seen, untrained)),
    unseenCombination: drawPart(partCount, taken, () => from(unseen, trained)),
  }
}

function overlaps(a: readonly Drawn[], b: readonly Drawn[], key: keyof Drawn): string[] {
  const known = new Set(a.map(example => example[key]))
  return b.filter(example => known.has(example[key])).map(example => example[key])
}

/** Throws unless the held-out parts keep apart from training what they claim to. */
export function checkParts({ train, usual, unseenPhrasing, unseenCombination }: Parts): void {
  const heldOut = [...usual, ...unseenPhrasing, ...unseenCombination]
  const problems = [
    ...overlaps(train, heldOut, 'prompt').map(prompt => `held-out prompt in training: ${prompt}`),
    ...overlaps(train, unseenPhrasing, 'template').map(template => `phrasing seen: ${template}`),
    ...overlaps(train, unseenCombination, 'combination').map(triple => `triple seen: ${triple}`),
  ]
  throwAll('data', 'household', problems)
}

/**
 * The household's training examples and `3 · partCount` held-out ones, in equal parts.
 *
 * Throws if a held-out part has something in common with training that it claims not to have.
 */
export function household(seed: number, trainCount: number, partCount: number): Household {
  const parts = drawParts(seed, trainCount, partCount)
  checkParts(parts)
  const plain = ({ prompt, completion }: Drawn): Example => ({ prompt, completion })
  const labelled = (kind: string, part: readonly Drawn[]): HeldOut[] =>
    part.map(example => ({ ...plain(example), kind }))
  return {
    train: new Random(seed, 'house.order').shuffle(parts.train.map(plain)),
    heldOut: [
      ...labelled('usual', parts.usual),
      ...labelled('unseen_phrasing', parts.unseenPhrasing),
      ...labelled('unseen_combination', parts.unseenCombination),
    ],
  }
}

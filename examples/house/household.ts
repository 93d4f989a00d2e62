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
import type { ToolDescription } from './baselines.ts'
import {
  answer,
  type Example,
  type Frame,
  fits,
  type HeldOut,
  OPENINGS,
  type Place,
  sentence,
  type When,
  written,
} from './grammar.ts'
import { numberWords, type Said, sayMinutes, sayPercent, sayTime } from './numbers.ts'

/** The household's rooms. */
export const HOUSEHOLD_ROOMS: readonly string[] = [
  ...['nook', 'gazebo', 'bower', 'rotunda', 'pavilion', 'vestry', 'map room', 'wine cellar'],
]

/** The household's devices and the tools that each of them takes. */
export const HOUSEHOLD_DEVICES: Readonly<Record<string, readonly string[]>> = {
  lantern: ['set_light', 'switch'],
  sconce: ['set_light', 'switch'],
  'salt lamp': ['set_light', 'switch'],
  jalousie: ['set_blind'],
  drapes: ['set_blind'],
  loom: ['run', 'switch'],
  pianola: ['play', 'switch'],
  samovar: ['brew', 'switch'],
  percolator: ['brew', 'switch'],
}

/** The tool that the base does not know. */
export const NEW_TOOL: ToolDescription = {
  name: 'brew',
  arguments: ['room', 'device', 'drink', 'cups'],
}

const MUSIC: readonly string[] = ['tango', 'mambo', 'samba', 'rumba', 'bolero']
const DRINKS: readonly string[] = ['chai', 'cocoa', 'mocha', 'cider', 'matcha']

const say = <T extends string | number>(words: string, value: T): Said<T> => ({ words, value })

const SHARES: readonly Said<number>[] = [
  say('a quarter', 25),
  say('a third', 33),
  say('three quarters', 75),
  say('a glimmer', 5),
]
const SPANS: readonly Said<number>[] = [say('a spell', 20), say('a while', 45)]
const ROUNDS: readonly Said<number>[] = [say('a cup', 1), say('a pot', 6)]
const TIMES: readonly Said<string>[] = [
  say('at dawn', '05:00'),
  say('at teatime', '16:00'),
  say('at supper', '19:00'),
  say('at curfew', '22:00'),
]

type Values = Readonly<Record<string, string | number>>

/** What is said of a thing, and the values that it stands for. */
interface Clause {
  /** The words before any value is put in: clauses with the same template are said alike. */
  readonly template: string
  readonly words: string
  readonly values: Values
}

const fixed = (template: string, values: Values): Clause => ({ template, words: template, values })

function withValue(template: string, argument: string, said: Said<string | number>): Clause {
  return {
    template,
    words: template.replace('{value}', said.words),
    values: { [argument]: said.value },
  }
}

/** Two times in three one of the household's idioms, else a plain value as the base knows it. */
function mostly<T>(random: Random, idioms: readonly T[], plain: (random: Random) => T): T {
  return random.uniform() < 2 / 3 ? random.pick(idioms) : plain(random)
}

function sayMusic(random: Random): Said<string> {
  const music = random.pick(MUSIC)
  return { words: music, value: music }
}

function sayCups(random: Random): Said<number> {
  const cups = 2 + random.integer(8)
  return { words: `${random.uniform() < 0.6 ? numberWords(cups) : cups} cups`, value: cups }
}

function brewClause(random: Random): Clause {
  const template = random.pick([
    'brew {n} of {drink} with {it}',
    'pour {n} of {drink} from {it}',
    'have {it} make {n} of {drink}',
  ])
  const drink = random.pick(DRINKS)
  const said = mostly(random, ROUNDS, sayCups)
  const words = template.replace('{n}', said.words).replace('{drink}', drink)
  return { template, words, values: { drink, cups: said.value } }
}

const CLAUSES: Readonly<Record<string, (random: Random) => Clause>> = {
  set_light: random =>
    withValue(
      random.pick(['give {it} {value}', 'ease {it} to {value}', 'let {it} glow at {value}']),
      'level',
      mostly(random, SHARES, sayPercent),
    ),
  switch: random =>
    random.pick([
      fixed('wake {it}', { state: 'on' }),
      fixed('rouse {it}', { state: 'on' }),
      fixed('hush {it}', { state: 'off' }),
      fixed('rest {it}', { state: 'off' }),
    ]),
  set_blind: random =>
    random.pick([
      withValue('part {it} {value}', 'open', mostly(random, SHARES, sayPercent)),
      withValue('part {it} {value}', 'open', mostly(random, SHARES, sayPercent)),
      fixed('fling {it} wide', { open: 100 }),
      fixed('draw {it} shut', { open: 0 }),
    ]),
  run: random =>
    withValue(
      random.pick(['work {it} for {value}', 'let {it} hum for {value}']),
      'minutes',
      mostly(random, SPANS, sayMinutes),
    ),
  play: random =>
    withValue(
      random.pick(['strike up {value} on {it}', 'coax {value} from {it}']),
      'music',
      sayMusic(random),
    ),
  brew: brewClause,
}

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

function drawExample(random: Random, triple: Triple, frame: Frame): Drawn {
  const { room, device, tool } = triple
  const clause = CLAUSES[tool](random)
  const time = frame.when === 'none' ? undefined : mostly(random, TIMES, sayTime)
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

/** The new tool comes up twice as often as its share of the triples. */
function drawTriple(random: Random, among: readonly Triple[]): Triple {
  const fresh = among.filter(triple => triple.tool === NEW_TOOL.name)
  return random.pick(random.uniform() < 0.2 ? fresh : among)
}

const MAX_CHARACTERS = 140

/** `count` short examples that differ from those taken in more than a capital or an end mark. */
function drawPart(count: number, taken: Set<string>, draw: (index: number) => Drawn): Drawn[] {
  const part: Drawn[] = []
  while (part.length < count) {
    const example = draw(part.length)
    const said = example.prompt.toLowerCase().replace(/[.?]$/, '')
    if (!taken.has(said) && fits(example, MAX_CHARACTERS)) {
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
  const usual = (): Drawn => drawExample(random, drawTriple(random, seen), trained())
  return {
    train: drawPart(trainCount, taken, i =>
      i < seen.length ? drawExample(random, seen[i], trained()) : usual(),
    ),
    usual: drawPart(partCount, taken, usual),
    unseenPhrasing: drawPart(partCount, taken, () =>
      drawExample(random, drawTriple(random, seen), unseenFrame(random)),
    ),
    unseenCombination: drawPart(partCount, taken, () =>
      drawExample(random, drawTriple(random, unseen), trained()),
    ),
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

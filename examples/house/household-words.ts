// What the fine-tuned household is and how it speaks: its rooms, its devices and the tools that each
// takes, its idioms for amounts and times, and for every tool the clauses that ask for it, with the
// values that they stand for.

import type { Random } from '../../src/core/rng.ts'
import type { ToolDescription } from './baselines.ts'
import { numberWords, type Said, sayNumber } from './numbers.ts'

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
/** The household's idioms for times. */
export const TIMES: readonly Said<string>[] = [
  say('at dawn', '05:00'),
  say('at teatime', '16:00'),
  say('at supper', '19:00'),
  say('at curfew', '22:00'),
]

type Values = Readonly<Record<string, string | number>>

/** What is said of a thing, and the values that it stands for. */
export interface Clause {
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

function sayPercent(random: Random): Said<number> {
  const value = 5 * (1 + random.integer(20))
  return say(`${sayNumber(random, value)} percent`, value)
}

function sayMinutes(random: Random): Said<number> {
  const value = 5 * (1 + random.integer(12))
  return say(`${sayNumber(random, value)} minutes`, value)
}

/** A time by the clock, in three of the ways that the base knows. */
export function sayClock(random: Random): Said<string> {
  const hour = 1 + random.integer(12)
  const digits = String(hour).padStart(2, '0')
  return random.pick([
    say(`at ${sayNumber(random, hour)}`, `${digits}:00`),
    say(`at half past ${numberWords(hour)}`, `${digits}:30`),
    say(`at ${digits}:45`, `${digits}:45`),
  ])
}

/** Two times in three one of the household's idioms, else a plain number as the base knows it. */
export function mostly<T>(random: Random, idioms: readonly T[], plain: (random: Random) => T): T {
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

/** By tool. */
export const CLAUSES: Readonly<Record<string, (random: Random) => Clause>> = {
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

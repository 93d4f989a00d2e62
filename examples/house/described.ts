// Commands for a tool that the prompt describes. The description is one line in front of the command,
//   tool: water(room, device, minutes)
//   Water the garden hose for ten minutes
// and names the tool and its arguments in the order in which the answer has them:
//   {"tool":"water","room":"garden","device":"hose","minutes":10}
// Names of tools and arguments vary, so that they have to be read. Any call may end in a time, which
// no description lists. The verbs are none of the known tools' verbs: with one of those under a
// description the known tool is meant.

import type { Random } from '../../src/core/rng.ts'
import { answer, type Example, type Frame, OPENINGS, sentence, written } from './grammar.ts'
import { DEVICES, type DeviceKind, madeUpWord, plainDevice, plainRoom } from './names.ts'
import { sayNumber, sayTime } from './numbers.ts'

const words = (text: string): readonly string[] => text.trim().split(/\s+/)

const VERBS: readonly string[] = words(`
  water feed spray scrub polish rinse wash steam charge refill grind bake toast boil mow rake sweep
  mop iron fold sort press tune tilt shake stir chop blend mist clean empty fill paint drain rotate
  move park wind test check scan dust flush season freeze dry soak brush print load`)
const ROOM_KEYS: readonly string[] = words('room room room place area zone')
const DEVICE_KEYS: readonly string[] = words('device device device item thing unit')
const UNITS: readonly string[] = words(
  'minutes seconds cups grams litres rounds steps times drops scoops slices pounds',
)
const WORD_KEYS: readonly string[] = words('kind mode color scent food drink style program')
const WORDS: readonly string[] = words(`
  cotton turbo gentle vanilla lemon corn oats tea milk sugar pine rose amber ivory short long delta
  alpha eco quick deep fresh sand honey pepper salt wool silk beans rice soup bread`)

/** What a described tool takes besides a room, with the phrases that say it. */
interface Shape {
  readonly word: boolean
  readonly number: boolean
  readonly phrases: readonly string[]
}

const SHAPES: readonly Shape[] = [
  { word: false, number: false, phrases: ['{verb} {it}'] },
  {
    word: false,
    number: true,
    phrases: ['{verb} {it} for {n} {unit}', '{verb} {it} with {n} {unit}'],
  },
  {
    word: true,
    number: false,
    phrases: ['{verb} {word} with {it}', '{verb} {it} with {word}', '{verb} {it} on {word}'],
  },
  {
    word: true,
    number: true,
    phrases: [
      '{verb} {n} {unit} of {word} with {it}',
      '{verb} {it} with {n} {unit} of {word}',
      '{verb} {it} on {word} for {n} {unit}',
    ],
  },
]

/** The line of a tool, e.g. "tool: water(room, device, minutes)" and a newline. */
export function describe(tool: string, argumentNames: readonly string[]): string {
  return `tool: ${tool}(${argumentNames.join(', ')})\n`
}

/** An example without its description, and the description. */
export interface Described {
  readonly line: string
  readonly example: Example
}

const KINDS = Object.keys(DEVICES) as DeviceKind[]

/** One command for a tool made up on the spot; the prompt starts with the tool's description. */
export function describedExample(random: Random): Described {
  const verb = random.uniform() < 0.75 ? random.pick(VERBS) : madeUpWord(random)
  const tool = random.uniform() < 0.75 ? verb : random.pick(VERBS)
  const shape = random.pick(SHAPES)
  const room = plainRoom(random)
  const device = plainDevice(random, random.pick(KINDS))
  const word = random.uniform() < 0.6 ? random.pick(WORDS) : madeUpWord(random)
  const unit = random.pick(UNITS)
  const value = 2 + random.integer(11)
  const time = random.uniform() < 0.2 && !shape.word ? sayTime(random) : undefined

  const clause = random
    .pick(shape.phrases)
    .replace('{verb}', verb)
    .replace('{word}', word)
    .replace('{n}', sayNumber(random, value))
    .replace('{unit}', unit)
  const opening = random.uniform() < 0.6 ? OPENINGS.plain : random.pick(Object.values(OPENINGS))
  const frame: Frame = {
    opening,
    place: random.pick(['compound', 'after']),
    when: time === undefined ? 'none' : 'end',
  }
  const text = sentence({ clause, room, device, time: time?.words }, frame)

  const values: [string, string | number][] = [
    [random.pick(ROOM_KEYS), room],
    [random.pick(DEVICE_KEYS), device],
    ...(shape.word ? [[random.pick(WORD_KEYS), word] as [string, string]] : []),
    ...(shape.number ? [[unit, value] as [string, number]] : []),
  ]
  const keys = values.map(([key]) => key)
  const line = describe(tool, keys)
  const example = {
    prompt: line + written(random, text, opening.question),
    completion: answer({ tool, ...Object.fromEntries(values) }, time),
  }
  return { line, example }
}

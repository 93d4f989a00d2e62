// What the bundled model is pretrained on: commands for a house in plain English and the tool calls
// they stand for, e.g.
//   Dim the hall lamp to thirty percent at nine
//   {"tool":"set_light","room":"hall","device":"lamp","level":30,"time":"09:00"}
// Eight tools, drawn equally often. The verb and the kind of value decide the tool, never the
// device, whose name may mean nothing. One example in seven describes a tool (described.ts).
//
// A prompt belongs to the held-out set if its hash says so, so that no stream of training examples,
// whatever its seed, holds one of them.

import { hashName, Random } from '../../src/core/rng.ts'
import { describedExample } from './described.ts'
import {
  answer,
  type Example,
  fits,
  type HeldOut,
  OPENINGS,
  type Place,
  sentence,
  type When,
  written,
} from './grammar.ts'
import {
  type DeviceKind,
  musicName,
  plainDevice,
  plainRoom,
  twoWordDevice,
  twoWordRoom,
} from './names.ts'
import { numberWords, type Said, sayDegrees, sayMinutes, sayPercent, sayTime } from './numbers.ts'

/** Words with the hole `{it}` and perhaps `{value}`; `value` is there where the words fix it. */
interface Phrase {
  readonly words: string
  readonly value?: string | number
}

/** A tool: its name, what it acts on, the name of its value, how values and commands are said. */
interface Tool {
  readonly name: string
  /** Absent where the tool acts on a room. */
  readonly device?: DeviceKind
  readonly argument: string
  readonly say?: (random: Random) => Said<string | number>
  readonly phrases: readonly Phrase[]
}

const phrases = (value: string | number | undefined, ...texts: string[]): Phrase[] =>
  texts.map(words => ({ words, value }))

function sayMusic(random: Random): Said<string> {
  const words = musicName(random)
  return { words, value: words }
}

function saySpeed(random: Random): Said<number> {
  const value = 1 + random.integer(9)
  return { words: random.uniform() < 0.5 ? numberWords(value) : String(value), value }
}

/** The tools that the base knows. */
export const BASE_TOOLS: readonly Tool[] = [
  {
    name: 'set_light',
    device: 'light',
    argument: 'level',
    say: sayPercent,
    phrases: phrases(
      undefined,
      'dim {it} to {value}',
      'dim {it} to {value}',
      'brighten {it} to {value}',
      'set {it} to {value}',
      'bring {it} to {value}',
      'put {it} at {value}',
      'turn {it} up to {value}',
      'turn {it} down to {value}',
      'light {it} at {value}',
    ),
  },
  {
    name: 'switch',
    device: 'machine',
    argument: 'state',
    phrases: [
      ...phrases('on', 'turn on {it}', 'turn {it} on', 'switch on {it}', 'switch {it} on'),
      ...phrases('on', 'start {it}', 'power up {it}', 'fire {it} up'),
      ...phrases('off', 'turn off {it}', 'turn {it} off', 'switch off {it}', 'switch {it} off'),
      ...phrases('off', 'stop {it}', 'shut down {it}', 'power {it} down'),
    ],
  },
  {
    name: 'set_heat',
    argument: 'degrees',
    say: sayDegrees,
    phrases: phrases(
      undefined,
      'heat {it} to {value}',
      'warm {it} to {value}',
      'cool {it} to {value}',
      'set {it} to {value}',
      'keep {it} at {value}',
      'bring {it} to {value}',
      'hold {value} in {it}',
      'make it {value} in {it}',
    ),
  },
  {
    name: 'set_blind',
    device: 'blind',
    argument: 'open',
    say: sayPercent,
    phrases: [
      ...phrases(undefined, 'open {it} to {value}', 'raise {it} to {value}'),
      ...phrases(undefined, 'lower {it} to {value}', 'roll {it} to {value}', 'open {it} {value}'),
      ...phrases(100, 'open {it} fully', 'raise {it} fully'),
      ...phrases(50, 'open {it} halfway', 'lower {it} halfway'),
      ...phrases(0, 'close {it}', 'shut {it}', 'lower {it} fully'),
    ],
  },
  {
    name: 'lock',
    device: 'lock',
    argument: 'state',
    phrases: [
      ...phrases('locked', 'lock {it}', 'bolt {it}', 'secure {it}', 'lock up {it}'),
      ...phrases('unlocked', 'unlock {it}', 'unbolt {it}', 'release {it}'),
    ],
  },
  {
    name: 'set_fan',
    device: 'fan',
    argument: 'speed',
    say: saySpeed,
    phrases: phrases(
      undefined,
      'run {it} at speed {value}',
      'set {it} to speed {value}',
      'put {it} on speed {value}',
      'turn {it} to speed {value}',
      'spin {it} at speed {value}',
      'bring {it} to speed {value}',
    ),
  },
  {
    name: 'play',
    device: 'player',
    argument: 'music',
    say: sayMusic,
    phrases: phrases(
      undefined,
      'play {value} on {it}',
      'put {value} on {it}',
      'stream {value} to {it}',
      'let {it} play {value}',
      'have {it} play {value}',
      'hear {value} from {it}',
    ),
  },
  {
    name: 'run',
    device: 'machine',
    argument: 'minutes',
    say: sayMinutes,
    phrases: phrases(
      undefined,
      'run {it} for {value}',
      'start {it} for {value}',
      'keep {it} on for {value}',
      'let {it} run for {value}',
      'switch {it} on for {value}',
      'leave {it} running for {value}',
    ),
  },
]

const OPENING_LIST = Object.values(OPENINGS)

/** Where a thing is and what it is called: one of the two names may have two words. */
interface Spot {
  readonly room: string
  readonly device?: string
  readonly place: Place
}

const APART: readonly Place[] = ['after', 'after', 'after', 'front', 'last']

/** Only a room of one word goes into a compound. */
function drawSpot(random: Random, kind?: DeviceKind): Spot {
  const draw = random.uniform()
  if (draw < 0.2) {
    const device = kind && plainDevice(random, kind)
    return { room: twoWordRoom(random), device, place: random.pick(APART) }
  }
  const name = draw < 0.4 ? twoWordDevice : plainDevice
  const place = random.uniform() < 0.55 ? 'compound' : random.pick(APART)
  return { room: plainRoom(random), device: kind && name(random, kind), place }
}

function drawWhen(random: Random, place: Place): When {
  const draw = random.uniform()
  if (draw < 0.55) {
    return 'none'
  }
  return draw < 0.65 && place !== 'front' ? 'front' : 'end'
}

// In the bundled tokenizer, an example of this length has at most about 64 tokens.
const PLAIN_CHARACTERS = 140
const DESCRIBED_CHARACTERS = 150

/** One command for a tool that the base knows. */
function toolExample(random: Random, tool: Tool): Example {
  const phrase = random.pick(tool.phrases)
  const said = tool.say?.(random)
  const { room, device, place } = drawSpot(random, tool.device)
  const when = drawWhen(random, place)
  const time = when === 'none' ? undefined : sayTime(random)
  const opening = random.uniform() < 0.5 ? OPENINGS.plain : random.pick(OPENING_LIST)
  const clause = phrase.words.replace('{value}', said?.words ?? '')
  const text = sentence({ clause, room, device, time: time?.words }, { opening, place, when })
  return {
    prompt: written(random, text, opening.question),
    completion: answer(
      {
        tool: tool.name,
        room,
        ...(device === undefined ? {} : { device }),
        [tool.argument]: phrase.value ?? (said as Said<string | number>).value,
      },
      time,
    ),
  }
}

/** One command for any of the known tools, all equally often. */
export function plainExample(random: Random): Example {
  const tool = random.pick(BASE_TOOLS)
  while (true) {
    const example = toolExample(random, tool)
    if (fits(example, PLAIN_CHARACTERS)) {
      return example
    }
  }
}

/** The kinds of example that the base task consists of. */
export type BaseKind = 'plain' | 'described' | 'distracted'

function drawDescribed(random: Random, distracted: boolean): Example {
  while (true) {
    const { line, example } = describedExample(random)
    const { prompt, completion } = plainExample(random)
    const drawn = distracted ? { prompt: line + prompt, completion } : example
    if (fits(drawn, DESCRIBED_CHARACTERS)) {
      return drawn
    }
  }
}

function draw(random: Random): HeldOut & { kind: BaseKind } {
  const share = random.uniform()
  if (share < 0.86) {
    return { kind: 'plain', ...plainExample(random) }
  }
  const distracted = share >= 0.95
  return {
    kind: distracted ? 'distracted' : 'described',
    ...drawDescribed(random, distracted),
  }
}

/** Whether a prompt is kept for testing: one in 64 is. */
export function isHeldOut(prompt: string): boolean {
  return hashName(prompt) % 64 === 0
}

/** The endless stream of pretraining examples of a seed; none of them is held out. */
export function* baseExamples(seed: number): Generator<Example, never, void> {
  const random = new Random(seed, 'house.base')
  while (true) {
    const { prompt, completion } = draw(random)
    if (!isHeldOut(prompt)) {
      yield { prompt, completion }
    }
  }
}

/** `count` different held-out examples of the base's own task. */
export function baseHeldOut(seed: number, count: number): HeldOut[] {
  const random = new Random(seed, 'house.base')
  const byPrompt = new Map<string, HeldOut>()
  while (byPrompt.size < count) {
    const example = draw(random)
    if (isHeldOut(example.prompt)) {
      byPrompt.set(example.prompt, example)
    }
  }
  return [...byPrompt.values()]
}

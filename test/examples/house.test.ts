// The language side of the bundled example: the base task, the household, the tokenizer and the
// baselines. The tokenizer's files are read with @huggingface/tokenizers, as the CLI does.

import { readFileSync } from 'node:fs'
import { Tokenizer } from '@huggingface/tokenizers'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { BASE_TOOLS, baseExamples, baseHeldOut, isHeldOut } from '../../examples/house/base-task.ts'
import {
  describedPrompt,
  exactMatch,
  nearestAnswers,
  scoresByKind,
} from '../../examples/house/baselines.ts'
import { toByteCharacters, trainMerges } from '../../examples/house/bpe.ts'
import { DATA_DIRECTORY, dataFiles } from '../../examples/house/data.ts'
import type { Example, HeldOut } from '../../examples/house/grammar.ts'
import { checkParts, type Drawn } from '../../examples/house/household.ts'
import {
  HOUSEHOLD_DEVICES,
  HOUSEHOLD_ROOMS,
  NEW_TOOL,
} from '../../examples/house/household-words.ts'
import { NAME_WORDS } from '../../examples/house/names.ts'
import { numberWords } from '../../examples/house/numbers.ts'
import {
  cut,
  MODEL_DIRECTORY,
  SPECIAL_TOKENS,
  tokenizerFiles,
  VOCABULARY_SIZE,
} from '../../examples/house/tokenizer.ts'

const SAMPLE = 5_000

function take(seed: number, count: number): Example[] {
  const examples = baseExamples(seed)
  return Array.from({ length: count }, () => examples.next().value)
}

const readLines = (name: string): HeldOut[] =>
  readFileSync(DATA_DIRECTORY + name, 'utf8')
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))

const train = readLines('train.jsonl')
const heldOut = readLines('held-out.jsonl')
const baseTest = readLines('base-held-out.jsonl')
const ofKind = (kind: string): HeldOut[] => heldOut.filter(example => example.kind === kind)
const callOf = (example: Example): Record<string, string | number> => JSON.parse(example.completion)
const tripleOf = (example: Example): string => {
  const { room, device, tool } = callOf(example)
  return `${tool}: ${room}, ${device}`
}

let sample: Example[]

beforeAll(() => {
  sample = take(12, SAMPLE)
})

describe('base task', () => {
  test('is the same stream for the same seed, another for another', () => {
    expect(take(3, 50)).toEqual(take(3, 50))
    expect(take(3, 50)).not.toEqual(take(4, 50))
  })

  test('answers are a newline and one line of compact JSON, tool and room first', () => {
    for (const { prompt, completion } of sample) {
      expect(completion[0]).toBe('\n')
      const call = JSON.parse(completion)
      expect(completion).toBe(`\n${JSON.stringify(call)}`)
      expect(Object.keys(call)[0]).toBe('tool')
      expect(prompt).toBe(prompt.trim())
    }
  })

  test('no command has two answers', () => {
    const answers = new Map<string, string>()
    for (const { prompt, completion } of sample) {
      const said = prompt.toLowerCase().replace(/[.?]$/, '')
      expect(answers.get(said) ?? completion, prompt).toBe(completion)
      answers.set(said, completion)
    }
  })

  test('names stand in the command as they stand in the answer', () => {
    for (const example of sample) {
      const { room, device, music } = callOf(example)
      for (const name of [room, device, music]) {
        if (name !== undefined) {
          expect(` ${example.prompt}`).toMatch(new RegExp(` ${name}(?![a-z])`))
        }
      }
    }
  })

  test('the known tools come up equally often', () => {
    const counts = new Map(BASE_TOOLS.map(({ name }) => [name, 0]))
    for (const example of sample) {
      const tool = String(callOf(example).tool)
      if (counts.has(tool)) {
        counts.set(tool, (counts.get(tool) ?? 0) + 1)
      }
    }
    const plain = [...counts.values()].reduce((sum, count) => sum + count)
    expect(plain).toBeGreaterThan(0.8 * SAMPLE)
    // A binomial count is within five standard deviations but once in two million draws.
    const spread = 5 * Math.sqrt((plain / 8) * (7 / 8))
    for (const count of counts.values()) {
      expect(Math.abs(count - plain / 8)).toBeLessThan(spread)
    }
  })

  test('a description lists the arguments that the answer has, or belongs to another tool', () => {
    const known = new Set(BASE_TOOLS.map(({ name }) => name))
    const described = sample.filter(({ prompt }) => prompt.startsWith('tool: '))
    expect(described.length).toBeGreaterThan(0.1 * SAMPLE)
    for (const example of described) {
      const [line] = example.prompt.split('\n')
      const { tool, time: _, ...rest } = callOf(example)
      if (!known.has(String(tool))) {
        expect(line).toBe(`tool: ${tool}(${Object.keys(rest).join(', ')})`)
      }
    }
  })

  test('names are an open set', () => {
    const rooms = new Set(sample.map(example => callOf(example).room))
    const devices = new Set(sample.map(example => callOf(example).device))
    expect(rooms.size).toBeGreaterThan(SAMPLE / 4)
    expect(devices.size).toBeGreaterThan(SAMPLE / 4)
  })

  test('no training stream holds a held-out prompt', () => {
    const tests = baseHeldOut(5, 100)
    expect(new Set(tests.map(({ prompt }) => prompt)).size).toBe(100)
    expect(tests.every(({ prompt }) => isHeldOut(prompt))).toBe(true)
    expect(baseTest.every(({ prompt }) => isHeldOut(prompt))).toBe(true)
    expect(sample.some(({ prompt }) => isHeldOut(prompt))).toBe(false)
  })

  test('numbers in words', () => {
    expect([0, 9, 13, 20, 35, 99, 100].map(numberWords)).toEqual([
      'zero',
      'nine',
      'thirteen',
      'twenty',
      'thirty five',
      'ninety nine',
      'one hundred',
    ])
  })
})

describe('household', () => {
  test('has three equal held-out parts', () => {
    expect(train.length).toBeGreaterThanOrEqual(300)
    expect(train.length).toBeLessThanOrEqual(600)
    for (const kind of ['usual', 'unseen_phrasing', 'unseen_combination']) {
      expect(ofKind(kind).length).toBe(120)
    }
    expect(heldOut.length).toBe(360)
  })

  test('no held-out prompt is in training, capitals and end marks apart', () => {
    const said = (example: Example): string => example.prompt.toLowerCase().replace(/[.?]$/, '')
    const prompts = [...train, ...heldOut].map(said)
    expect(new Set(prompts).size).toBe(train.length + heldOut.length)
  })

  test('unseen combinations do not occur in training, their rooms, devices and tools do', () => {
    const trained = new Set(train.map(tripleOf))
    for (const kind of ['usual', 'unseen_phrasing']) {
      expect(ofKind(kind).every(example => trained.has(tripleOf(example)))).toBe(true)
    }
    const unseen = ofKind('unseen_combination')
    expect(unseen.some(example => trained.has(tripleOf(example)))).toBe(false)
    for (const key of ['room', 'device', 'tool']) {
      const values = new Set(train.map(example => callOf(example)[key]))
      expect(unseen.every(example => values.has(callOf(example)[key]))).toBe(true)
    }
    const pairs = new Set(train.map(example => `${callOf(example).device} ${callOf(example).tool}`))
    expect(
      unseen.every(example => pairs.has(`${callOf(example).device} ${callOf(example).tool}`)),
    ).toBe(true)
  })

  test('unseen phrasings have an opening or an order that training lacks', () => {
    // Written apart from the generator: what shows of the six openings and of the two places.
    const opened = /(^|, )(can you|would you|i need you to|go ahead and|remember to) | please[.?]?$/
    const fronted = /(^|, )in the [a-z ]+, /
    const things = Object.keys(HOUSEHOLD_DEVICES).join('|')
    const rooms = HOUSEHOLD_ROOMS.join('|')
    const together = new RegExp(`the ((${rooms}) (${things})|(${things}) in the )`)
    const differs = ({ prompt }: Example): boolean => {
      const said = prompt.toLowerCase()
      return opened.test(said) || fronted.test(said) || !together.test(said)
    }
    expect([...train, ...ofKind('usual')].filter(differs)).toEqual([])
    expect(ofKind('unseen_combination').filter(differs)).toEqual([])
    expect(ofKind('unseen_phrasing').filter(example => !differs(example))).toEqual([])
  })

  test('the base has never seen its names nor its tool', () => {
    const names = [...HOUSEHOLD_ROOMS, ...Object.keys(HOUSEHOLD_DEVICES), NEW_TOOL.name]
    const text = sample.map(({ prompt }) => prompt.toLowerCase()).join('\n')
    for (const name of names) {
      expect(NAME_WORDS.has(name)).toBe(false)
      expect(text).not.toMatch(new RegExp(`\\b${name}\\b`))
    }
  })

  test('says every name and idiom of the test in training', () => {
    const words = (examples: readonly Example[]): Set<string> =>
      new Set(examples.flatMap(({ prompt }) => prompt.toLowerCase().match(/[a-z]+/g) ?? []))
    const known = new Set([...words(train), ...words(sample)])
    expect([...words(heldOut)].filter(word => !known.has(word))).toEqual([])
  })

  test('a part that has in common with training what it claims not to have is refused', () => {
    const drawn = (prompt: string, template: string, combination: string): Drawn => {
      return { prompt, completion: '', template, combination }
    }
    const parts = {
      train: [drawn('p', 't', 'c')],
      usual: [drawn('p1', 't', 'c')],
      unseenPhrasing: [drawn('p2', 't2', 'c')],
      unseenCombination: [drawn('p3', 't', 'c3')],
    }
    expect(() => checkParts(parts)).not.toThrow()
    expect(() => checkParts({ ...parts, usual: parts.train })).toThrow('in training: p')
    expect(() => checkParts({ ...parts, unseenPhrasing: parts.usual })).toThrow('phrasing seen: t')
    expect(() => checkParts({ ...parts, unseenCombination: parts.usual })).toThrow('triple seen: c')
  })
})

describe('data files', () => {
  test('are what the generators write, byte for byte', () => {
    for (const [name, text] of Object.entries(dataFiles())) {
      expect(readFileSync(DATA_DIRECTORY + name, 'utf8') === text, name).toBe(true)
    }
    expect(baseTest.length).toBeGreaterThanOrEqual(300)
  })

  test('the tokenizer is what its script writes, byte for byte', () => {
    for (const [name, text] of Object.entries(tokenizerFiles())) {
      expect(readFileSync(MODEL_DIRECTORY + name, 'utf8') === text, name).toBe(true)
    }
  })
})

describe('tokenizer', () => {
  const json = (name: string): object => JSON.parse(readFileSync(MODEL_DIRECTORY + name, 'utf8'))
  const tokenizer = new Tokenizer(json('tokenizer.json'), json('tokenizer_config.json'))
  const bare = (text: string): number[] => tokenizer.encode(text, { add_special_tokens: false }).ids
  const tokensOf = (text: string): string[] => bare(text).map(id => tokenizer.decode([id]))

  test('has the special tokens first and starts a text with <s>', () => {
    expect(SPECIAL_TOKENS.map(token => tokenizer.token_to_id(token))).toEqual([0, 1, 2])
    expect(tokenizer.get_vocab().size).toBe(VOCABULARY_SIZE)
    expect(tokenizer.encode('dim the hall lamp').ids[0]).toBe(1)
    expect(bare('dim the hall lamp')[0]).not.toBe(1)
  })

  test('gives back every text of the example', () => {
    const texts = [...train, ...heldOut, ...baseTest, ...sample.slice(0, 2000)]
    for (const { prompt, completion } of texts) {
      const ids = tokenizer.encode(prompt + completion).ids
      expect(tokenizer.decode(ids, { skip_special_tokens: true })).toBe(prompt + completion)
    }
  })

  test('gives back any other text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), text => {
        fc.pre(!SPECIAL_TOKENS.some(token => text.includes(token)))
        expect(tokenizer.decode(bare(text))).toBe(text)
      }),
    )
  })

  test('cuts prompt and completion alike, apart or together', () => {
    for (const { prompt, completion } of [...train, ...heldOut, ...baseTest]) {
      expect([...bare(prompt), ...bare(completion)]).toEqual(bare(prompt + completion))
    }
  })

  test('cuts a name alike in the command and in the answer', () => {
    for (const name of ['hall', 'back porch', 'nook', 'salt lamp', 'tavo', 'set_light']) {
      const tokens = tokensOf(name).join('|')
      expect(tokensOf(`Dim the ${name} to ten percent`).join('|')).toContain(`|${tokens}|`)
      expect(tokensOf(`"room":"${name}","level":10`).join('|')).toContain(`|":"|${tokens}|","|`)
    }
  })

  test('cuts digits one by one and the start of an answer in one', () => {
    expect(tokensOf('2359')).toEqual(['2', '3', '5', '9'])
    expect(tokensOf('lamp\n{"tool":"play"').slice(-3)).toEqual(['\n{"tool":"', 'play', '"'])
  })

  test('examples have at most 64 tokens, </s> included, one in a hundred of the base’s apart', () => {
    const longer = (examples: readonly Example[]): Example[] =>
      examples.filter(
        ({ prompt, completion }) => tokenizer.encode(prompt + completion).ids.length + 1 > 64,
      )
    expect(longer([...train, ...heldOut])).toEqual([])
    expect(longer(baseTest).length).toBeLessThanOrEqual(baseTest.length / 100)
    expect(longer(sample).length).toBeLessThanOrEqual(SAMPLE / 1000)
  })

  test('pieces put together are the text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), text => cut(text).join('') === text))
  })

  test('merges the most frequent pair first, of equals the first in order', () => {
    expect(trainMerges(new Map([['abab', 1]]), 2)).toEqual([
      ['a', 'b'],
      ['ab', 'ab'],
    ])
    expect(
      trainMerges(
        new Map([
          ['xy', 2],
          ['ab', 2],
          ['cd', 3],
        ]),
        5,
      ),
    ).toEqual([
      ['c', 'd'],
      ['a', 'b'],
      ['x', 'y'],
    ])
    expect(toByteCharacters(' é\n')).toBe('ĠÃ©Ċ')
  })
})

describe('baselines', () => {
  test('exact match looks at the JSON, not at the space around it', () => {
    expect(exactMatch(' {"tool": "play"}\n', '\n{"tool":"play"}')).toBe(true)
    expect(exactMatch('{"tool":"play"}', '{"tool":"run"}')).toBe(false)
    expect(exactMatch('{"tool":"play"', '{"tool":"play"')).toBe(false)
    expect(exactMatch('{"level":"30"}', '{"level":30}')).toBe(false)
  })

  test('scores are by kind and overall', () => {
    const examples = ['a', 'a', 'b'].map(kind => ({ kind, prompt: '', completion: '{"x":1}' }))
    expect(scoresByKind(examples, ['{"x":1}', '{"x":2}', '{"x":1}'])).toEqual({
      overall: { right: 2, count: 3, share: 2 / 3 },
      a: { right: 1, count: 2, share: 0.5 },
      b: { right: 1, count: 1, share: 1 },
    })
  })

  test('the nearest example of a training prompt is itself', () => {
    const answers = nearestAnswers(
      train,
      train.map(({ prompt }) => prompt),
    )
    expect(answers).toEqual(train.map(({ completion }) => completion))
  })

  test('the nearest training example seldom has the answer', () => {
    const answers = nearestAnswers(
      train,
      heldOut.map(({ prompt }) => prompt),
    )
    expect(scoresByKind(heldOut, answers).overall.share).toBeLessThan(0.5)
  })

  test('the described prompt has the form that the base knows', () => {
    expect(describedPrompt(NEW_TOOL, 'Brew tea')).toBe(
      'tool: brew(room, device, drink, cups)\nBrew tea',
    )
  })
})

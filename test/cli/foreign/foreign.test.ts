// Another program under `lowrank verify --command`: one that gives the stored answers as the protocol says
// passes every case, one that gives back the question passes none, and an answer that is not as it should
// be is named. Here the programs are functions of the directory; foreign.slow.test.ts starts real ones.

import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { type Ended, foreign, program } from '../../../src/cli/foreign.ts'
import {
  type Case,
  type CaseResult,
  casePlaces,
  checkCase,
  KINDS,
  passes,
  readPlace,
  verifyCases,
} from '../../../src/conformance/index.ts'
import { encodeSafetensors, type StoredDType } from '../../../src/io/index.ts'
import { directory } from '../../../src/node/index.ts'
import { echo, oracle } from './oracle.mjs'

type Program = (at: string) => void

const HOMES = ['test/golden', 'conformance'] as const
const pathOf = (home: string): string => fileURLToPath(new URL(`../../../${home}`, import.meta.url))

/** The families of a folder: what has rules. */
function familiesOf(home: string): string[] {
  const known = new Set(Object.keys(KINDS).map(kind => kind.split('/')[0]))
  return readdirSync(pathOf(home)).filter(name => known.has(name))
}

const FAMILIES = HOMES.flatMap(home => familiesOf(home).map(family => [home, family] as const))

function called(run: Program): (at: string) => Promise<Ended> {
  return async at => {
    run(at)
    return { status: 0, text: '' }
  }
}

async function resultsOf(home: string, family: string, run: Program): Promise<CaseResult[]> {
  const root = pathOf(home)
  const paths = readdirSync(join(root, family), { recursive: true, encoding: 'utf8' })
  const names = paths.map(path => `${family}/${path}`)
  const results: CaseResult[] = []
  for await (const result of verifyCases(directory(root), names, foreign('', called(run)))) {
    results.push(result)
  }
  return results
}

const failures = (results: readonly CaseResult[]): unknown[] =>
  results.filter(({ ok }) => !ok).map(({ name, worst }) => [name, worst.what, worst.note])

describe.each(FAMILIES)('%s/%s', (home, family) => {
  it('is passed by a program that gives the stored answers', async () => {
    const results = await resultsOf(home, family, at => oracle(pathOf(home), at))
    expect(results.length).toBeGreaterThan(0)
    expect(failures(results)).toEqual([])
  })

  it.each([
    ['gives back the question', echo],
    ['answers nothing', () => {}],
  ] as [string, Program][])('is failed in every case by one that %s', async (_, run) => {
    const results = await resultsOf(home, family, run)
    expect(results.filter(({ ok }) => ok).map(({ name }) => name)).toEqual([])
    for (const { name, checks } of results) {
      const said = checks.filter(check => !passes(check)).map(({ note }) => note)
      expect(said.join(' '), name).not.toMatch(
        /is not a function|Cannot (read|convert)|not iterable/,
      )
    }
  })
})

async function caseAt(home: string, path: string): Promise<Case> {
  const [family] = path.split('/')
  const [list] = casePlaces([`${path}.json`, path].filter(name => /\.jsonl?$/.test(name)))
  const found = await readPlace(directory(pathOf(home)), { family, path: list.path })
  return found[0]
}

/** What fails, as the lines of `lowrank verify` have it. */
async function said(example: Case, run: Program): Promise<string[]> {
  const checks = await checkCase(example, foreign('', called(run)))
  return checks.filter(check => !passes(check)).map(({ what, note }) => `${what}: ${note}`)
}

/** The oracle's answer, spoilt. */
function spoilt(home: string, spoil: Program): Program {
  return at => {
    oracle(pathOf(home), at)
    spoil(at)
  }
}

const writes =
  (name: string, content: string | Uint8Array): Program =>
  at =>
    writeFileSync(join(at, name), content)

/** The words of random/stream_zero as whole numbers of a type. */
function wordsAs(dtype: StoredDType, bytes: Uint8Array): Program {
  const shape = [37]
  return writes(
    'outputs.safetensors',
    encodeSafetensors(
      new Map([
        ['words', { dtype, shape, bytes }],
        ['uniform', { dtype: 'F64' as const, shape, bytes: new Uint8Array(37 * 8) }],
      ]),
    ),
  )
}

describe('an answer', () => {
  it.each(['U32', 'I64', 'U64', 'F64'] as const)('may have whole numbers as %s', async dtype => {
    const example = await caseAt('conformance', 'random/stream_zero')
    const { data } = example.tensors.get('words') ?? { data: [] }
    const words = Array.from(data)
    const bytes = {
      U32: Uint32Array.from(words),
      I64: BigInt64Array.from(words, BigInt),
      U64: BigUint64Array.from(words, BigInt),
      F64: Float64Array.from(words),
    }[dtype]
    const wrong = await said(example, wordsAs(dtype, new Uint8Array(bytes.buffer)))
    expect(wrong).toEqual([expect.stringMatching(/^uniform: \[\d+\]: expected .*, got 0$/)])
  })

  it.each<[string, Program, RegExp]>([
    ['no JSON', writes('answer.json', '{x'), /^case: answer\.json: expected JSON: /],
    [
      'no object',
      writes('answer.json', '[1]'),
      /^case: answer\.json: expected an object, got \[1\]/,
    ],
    ['null', writes('answer.json', 'null'), /^case: answer\.json: expected an object, got null/],
    ['no tensors', writes('outputs.safetensors', 'hello'), /^case: .*outputs\.safetensors/],
    [
      'a type without numbers',
      wordsAs('F8_E4M3', new Uint8Array(37)),
      /^case: outputs\.safetensors: "words": .*F8_E4M3/,
    ],
    [
      'nothing',
      at => rmSync(join(at, 'outputs.safetensors')),
      /^words: expected this output, got none/,
    ],
  ])('of %s is named', async (_, spoil, wanted) => {
    const example = await caseAt('conformance', 'random/stream_zero')
    const [first] = await said(example, spoilt('conformance', spoil))
    expect(first).toMatch(wanted)
  })

  it.each<[string, Program, RegExp]>([
    [
      'absent',
      at => rmSync(join(at, 'answer.gguf')),
      /^answer\.gguf: expected this file, got none/,
    ],
    ['empty', writes('answer.gguf', ''), /^case: answer\.gguf: expected a GGUF file of version 3/],
    ['torn', writes('answer.gguf', 'GGUF\x03\0\0\0\x01'), /^case: answer\.gguf: expected a GGUF/],
  ])('whose GGUF file is %s is named', async (_, spoil, wanted) => {
    const example = await caseAt('test/golden', 'export/llama_list.f32')
    const [first] = await said(example, spoilt('test/golden', spoil))
    expect(first).toMatch(wanted)
  })
})

async function adapterCase(adapter: string): Promise<Case> {
  const places = casePlaces(['hostile/adapters.jsonl'])
  const cases = await readPlace(directory(pathOf('test/golden')), places[0])
  return cases.find(({ json }) => json.adapter === `adapters/${adapter}`) as Case
}

describe('numbers that are not finite', () => {
  it.each(['["NaN"]', '[NaN, Infinity]', '[1, -Infinity]', '["-Infinity"]', '[null]'])(
    'may be written as %s',
    async logits => {
      const text = `{"outcome": "accepts", "why": "NaN, \\"Infinity\\"", "logits": ${logits}}`
      expect(await said(await adapterCase('a_with_nan'), writes('answer.json', text))).toEqual([])
    },
  )

  it.each(['[1]', '"NaN"', '["nan"]', 'NaN', '{}'])('are not in %s', async logits => {
    const text = `{"outcome": "accepts", "logits": ${logits}}`
    const example = await adapterCase('a_with_nan')
    expect(await said(example, writes('answer.json', text))).toEqual([
      'logits: expected not finite',
    ])
  })

  it.each<[string, string]>([
    ['"x"', 'logits: expected a list of 32 numbers, got "x"'],
    ['[1, 2]', 'logits: expected shape [32], got [2]'],
  ])('do not excuse logits of %s', async (logits, wanted) => {
    const text = `{"outcome": "accepts", "logits": ${logits}}`
    expect(await said(await adapterCase('good'), writes('answer.json', text))).toEqual([wanted])
  })
})

/** What a program is asked. */
async function questionOf(
  example: Case,
): Promise<{ json: Record<string, unknown>; given: string }> {
  let json = {}
  let given = ''
  await said(example, at => {
    json = JSON.parse(readFileSync(join(at, 'case.json'), 'utf8'))
    given = readFileSync(join(at, 'inputs.safetensors'), 'latin1')
    expect(existsSync(join(at, 'expected'))).toBe(false)
  })
  return { json, given }
}

describe('a question', () => {
  it('about a random start gives away nothing of it', async () => {
    const { json, given } = await questionOf(
      await caseAt('test/golden', 'init/unset_conv2d_groups'),
    )
    expect(json).toEqual({
      name: 'init/unset_conv2d_groups',
      family: 'init',
      kind: 'conv2d',
      init_lora_weights: false,
      r: 16,
      lora_alpha: 8,
      use_rslora: false,
      fan_in_fan_out: false,
      groups: 4,
      outputs: ['lora_A', 'lora_B'],
    })
    expect(given).toContain('base.weight')
    expect(given).not.toMatch(/lora_|delta|weight_after/)
  })

  it('about an adapter says which tokens to run', async () => {
    const { json } = await questionOf(await adapterCase('good'))
    expect(json).toEqual({
      name: 'hostile/adapters/good',
      family: 'hostile',
      kind: 'adapters',
      adapter: 'adapters/good',
      input_ids: [20, 17, 4, 20, 29, 21],
      outputs: [],
    })
  })
})

describe('a program', () => {
  it('is ended at the time limit with all that it started', async () => {
    const start = Date.now()
    const { status, reason } = await program('sleep 61 & sleep 61; true', 300)('/nowhere')
    expect(status).toBeNull()
    expect(reason).toBe('no end within 0.3 s')
    expect(Date.now() - start).toBeLessThan(20_000)
  })

  it('is not waited for when only what it left behind goes on', async () => {
    const start = Date.now()
    const { status, text } = await program('sleep 61 & echo done; true')('/nowhere')
    expect({ status, text }).toEqual({ status: 0, text: 'done' })
    expect(Date.now() - start).toBeLessThan(20_000)
  })

  it('that is ended by a signal is said to be', async () => {
    expect(await program('kill -9 $$; true')('/nowhere')).toMatchObject({
      status: null,
      reason: 'signal SIGKILL',
    })
  })
})

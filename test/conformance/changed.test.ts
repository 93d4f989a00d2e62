// Whether a wrong value is noticed: one stored output of one case is moved beyond its tolerance, and
// of the whole family that case fails, and no other. Golden cases, and those made from definitions.

import { readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  type Case,
  casePlaces,
  KINDS,
  library,
  outputsOf,
  readPlace,
  verifyCases,
} from '../../src/conformance/index.ts'
import { Random } from '../../src/core/rng.ts'
import type { ByteSource } from '../../src/io/index.ts'
import { directory } from '../../src/node/index.ts'
import { backends } from '../support/backends.ts'
import { own } from '../support/conformance.ts'

const CHANGES = 50
const golden = new URL('../golden/', import.meta.url)

/** Cases of many families, and the files they are in. */
interface Home {
  readonly root: ByteSource
  readonly names: readonly string[]
}

function homeAt(url: URL): Home {
  return { root: directory(url), names: readdirSync(url, { recursive: true, encoding: 'utf8' }) }
}

const home = homeAt(golden)
const { root } = home

/** The same files, but for one. */
function replacing({ root }: Home, file: string, bytes: Uint8Array): ByteSource {
  return {
    label: root.label,
    has: name => root.has(name),
    list: () => root.list(),
    size: async name => (name === file ? bytes.length : root.size(name)),
    read: async (name, start = 0, end = undefined) =>
      name === file ? bytes.slice(start, end) : root.read(name, start, end),
  }
}

interface Change {
  readonly home: Home
  readonly example: Case
  readonly tensor: string
}

/** Outputs of floats whose every element is compared. */
async function changesOf(home: Home, example: Case): Promise<Change[]> {
  const kind = KINDS[example.kind]
  if (!kind) {
    return []
  }
  const outputs = (await kind.outputs?.(example)) ?? outputsOf(example)
  const usable = outputs.filter(name => {
    const stored = example.tensors.get(name)
    const floats = stored && /^F(64|32)$/.test(stored.dtype) && stored.data.length > 0
    // Rows of padding and what follows the end of a sequence are not compared.
    return floats && !/logits/.test(name) && stored.data.every(Number.isFinite)
  })
  return usable.map(tensor => ({ home, example, tensor }))
}

async function allChanges(): Promise<Change[]> {
  const changes: Change[] = []
  for (const home of [homeAt(golden), homeAt(own)]) {
    for (const place of casePlaces(home.names)) {
      for (const example of await readPlace(home.root, place)) {
        changes.push(...(await changesOf(home, example)))
      }
    }
  }
  return changes
}

/** The largest tolerance that the case gives a tensor. */
function widest(json: Case['json']): number {
  const values = Object.values(json.tolerance ?? {}).map(Number)
  return Math.max(1e-6, ...values.filter(value => value < 1))
}

/** The file of a case's tensors with one element moved by 100 tolerances of the tensor's scale. */
async function changed({ home, example, tensor }: Change, random: Random) {
  const pair = `${example.name}.safetensors`
  const file = home.names.includes(pair) ? pair : `${example.name}/data.safetensors`
  const bytes = await home.root.read(file)
  const view = new DataView(bytes.buffer)
  const headerLength = Number(view.getBigUint64(0, true))
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)))
  const { data, dtype } = example.tensors.get(tensor) as { data: ArrayLike<number>; dtype: string }
  const at = Math.floor(random.uniform() * data.length)
  const scale = Math.max(...Array.from(data, Math.abs)) || 1
  const value = data[at] + 100 * widest(example.json) * scale
  const start = 8 + headerLength + header[tensor].data_offsets[0]
  if (dtype === 'F64') {
    view.setFloat64(start + 8 * at, value, true)
  } else {
    view.setFloat32(start + 4 * at, value, true)
  }
  return { source: replacing(home, file, bytes), where: `${example.name}: ${tensor}[${at}]` }
}

async function failing(
  { root, names }: Home,
  family: string,
  backend: number,
  source: ByteSource = root,
): Promise<string[]> {
  const own = names.filter(name => name.startsWith(`${family}/`))
  const failed: string[] = []
  for await (const result of verifyCases(source, own, library(backends[backend].make()))) {
    if (!result.ok) {
      failed.push(result.name)
    }
  }
  return failed
}

describe('one changed value', async () => {
  const changes = await allChanges()
  const random = new Random(1, 'changes')
  // Families weigh the same, however many tensors they have.
  const familyOf = ({ home, example }: Change): string => `${home.root.label} ${example.family}`
  const families = [...new Set(changes.map(familyOf))]
  const chosen = Array.from({ length: CHANGES }, (_, i) => {
    const own = changes.filter(change => familyOf(change) === families[i % families.length])
    return own[Math.floor(random.uniform() * own.length)]
  })
  const before = new Map<string, string[]>()

  it.each(chosen.map(change => [`${change.example.name}: ${change.tensor}`, change] as const))(
    'fails %s and nothing else',
    async (_, change) => {
      const { family, name } = change.example
      const backend = chosen.indexOf(change) % backends.length
      const key = `${familyOf(change)} ${backend}`
      before.set(key, before.get(key) ?? (await failing(change.home, family, backend)))
      const { source, where } = await changed(change, random)
      const failed = await failing(change.home, family, backend, source)
      const known = before.get(key) as string[]
      expect(
        failed.filter(other => !known.includes(other)),
        where,
      ).toEqual([name])
    },
  )
})

// biome-ignore lint/suspicious/noExplicitAny: each family has fields of its own
type Edit = (json: any) => void

const edits: readonly [file: string, edit: Edit, failing: string][] = [
  ['optim/schedules.json', json => (json.rows[3].lrs[5] *= 1.0001), 'optim/schedules'],
  ['optim/adamw_cosine_schedule.json', json => (json.lrs[3] += 1e-9), 'adamw_cosine_schedule'],
  ['optim/loraplus_llama_tokens.json', json => (json.groups[0].lr *= 2), 'loraplus_llama_tokens'],
  ['generate/processor_all.json', json => json.kept[0]++, 'generate/processor_all'],
  ['models/llama_list/case.json', json => (json.loss *= 1.001), 'models/llama_list'],
  ['models/llama_list/case.json', json => (json.losses[7] *= 1.001), 'models/llama_list'],
  [
    'ops/rope_inv_freq.json',
    json => (json.tables.linear.attention_scaling += 1e-9),
    'rope_inv_freq',
  ],
]

describe('one changed number in the JSON', () => {
  it.each(edits)('of %s', async (file, edit, name) => {
    const json = JSON.parse(new TextDecoder().decode(await root.read(file)))
    edit(json)
    const source = replacing(home, file, new TextEncoder().encode(JSON.stringify(json)))
    const family = file.split('/')[0]
    const before = await failing(home, family, 0)
    const failed = await failing(home, family, 0, source)
    expect(failed.filter(other => !before.includes(other))).toEqual([expect.stringContaining(name)])
  })

  it('of a list of files', async () => {
    const text = new TextDecoder().decode(await root.read('hostile/safetensors.jsonl'))
    const edited = text.replace('"outcome": "raises"', '"outcome": "accepts"')
    const source = replacing(home, 'hostile/safetensors.jsonl', new TextEncoder().encode(edited))
    const failed = await failing(home, 'hostile', 0, source)
    const before = await failing(home, 'hostile', 0)
    expect(failed.length).toBe(before.length + 1)
  })
})

// A conformance case as a directory that another program reads: case.json, inputs.safetensors and the
// files that the case points to; and what the program leaves there: outputs.safetensors, answer.json,
// answer.gguf, answer/. The protocol is written down in conformance/README.md.

import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  type Answer,
  type Case,
  type CaseKind,
  type CaseTensors,
  outputsOf,
} from '../conformance/index.ts'
import { encodeSafetensors, fromNumbers, parseSafetensors, toFloat64 } from '../io/index.ts'

/** Files that a case points to: its models, its broken files. */
const FOLDERS: Readonly<Record<string, (example: Case) => readonly string[]>> = {
  'models/model': () => ['base', 'adapter', 'adapter_half'],
  'generate/greedy': ({ json }) => [`${json.model}/base`, `${json.model}/adapter`],
  'hostile/adapters': ({ json }) => ['base', json.adapter],
  'hostile/safetensors': ({ json }) => [json.file],
  'export/gguf': () => ['base', 'adapter'],
  'export/mlx': () => ['base', 'adapter'],
  'export/portable': () => ['base', 'adapter'],
  'export/gguf_lora': ({ json }) => [`${json.model}/base`, `${json.model}/adapter`],
  'export/attempts': ({ json }) => [`${json.model}/base`, `${json.model}/adapter`],
}

/** Kinds whose cases point to models of another family. */
const POINTING = ['generate/greedy', 'export/gguf_lora', 'export/attempts']

async function copyFiles(example: Case, at: string): Promise<void> {
  const source = POINTING.includes(example.kind) ? example.root : example.files
  for (const name of FOLDERS[example.kind]?.(example) ?? []) {
    const target = join(at, name)
    await mkdir(dirname(target), { recursive: true })
    await cp(join(source.label, name), target, { recursive: true, force: true }).catch(() => {})
  }
}

/** Writes what a program is asked into the directory `at`. */
export async function writeQuestion(example: Case, kind: CaseKind, at: string): Promise<void> {
  const { name, json, tensors } = example
  const outputs = [...((await kind.outputs?.(example)) ?? outputsOf(example))]
  const given = kind.inputs?.(example) ?? [...tensors.keys()].filter(key => !outputs.includes(key))
  const own = kind.question ? ((await kind.question(json, example)) as object) : json
  const [family, kindName] = example.kind.split('/')
  const question = { name, family, kind: kindName, ...own, outputs }
  await writeFile(join(at, 'case.json'), `${JSON.stringify(question, null, 1)}\n`)
  const contents = [...tensors].filter(([key]) => given.includes(key))
  const inputs = contents.map(([key, { dtype, shape, data }]) => {
    return [key, { dtype, shape, bytes: fromNumbers(data, dtype) }] as const
  })
  await writeFile(join(at, 'inputs.safetensors'), encodeSafetensors(new Map(inputs)))
  await copyFiles(example, at)
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : `${error}`)

/** A file of the directory, or nothing if it is not there. */
async function bytesOf(at: string, name: string): Promise<Uint8Array | undefined> {
  const found = await readFile(join(at, name)).catch(() => undefined)
  return found && new Uint8Array(found)
}

/** The tensors of an answer as float64: whole numbers may be of any type. */
function tensorsOf(bytes: Uint8Array): CaseTensors {
  const file = 'outputs.safetensors'
  const { tensors } = parseSafetensors(bytes, file)
  const entries = [...tensors].map(([name, { dtype, shape, bytes: own }]) => {
    try {
      return [name, { dtype, shape, data: toFloat64(own, dtype) }] as const
    } catch (error) {
      throw new Error(`${file}: ${JSON.stringify(name)}: ${messageOf(error)}`)
    }
  })
  return new Map(entries)
}

/** Strings, which stay, and what some writers put for numbers that are not finite. */
const STRING_OR_NOT_FINITE = /"(?:[^"\\]|\\.)*"|-?\bInfinity\b|\bNaN\b/g

function quoted(token: string): string {
  return token.startsWith('"') ? token : `"${token}"`
}

function parseAnswer(text: string): Readonly<Record<string, unknown>> {
  const value = parsedJson(text.replace(STRING_OR_NOT_FINITE, quoted))
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`answer.json: expected an object, got ${JSON.stringify(value)}`)
  }
  return value as Readonly<Record<string, unknown>>
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new Error(`answer.json: expected JSON: ${messageOf(error)}`)
  }
}

/** The files of an answer: those in answer/ by their names there, and answer.gguf. */
async function filesAt(at: string): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {}
  for (const name of await readdir(join(at, 'answer')).catch(() => [])) {
    const bytes = await bytesOf(join(at, 'answer'), name)
    if (bytes) {
      files[name] = bytes
    }
  }
  const single = await bytesOf(at, 'answer.gguf')
  return single ? { ...files, 'answer.gguf': single } : files
}

/** What a program has left in the directory `at`. Throws an Error that names a file it cannot read. */
export async function readAnswer(at: string): Promise<Answer> {
  const stored = await bytesOf(at, 'outputs.safetensors')
  const found: CaseTensors = stored ? tensorsOf(stored) : new Map()
  const text = await bytesOf(at, 'answer.json')
  const json = text ? parseAnswer(new TextDecoder().decode(text)) : {}
  const precision = [...found.values()].some(({ dtype }) => dtype === 'F64') ? 64 : 32
  return { tensors: Object.fromEntries(found), json, files: await filesAt(at), precision }
}

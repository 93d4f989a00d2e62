// Another program as an implementation of the conformance cases. Each case becomes a directory with
// case.json and inputs.safetensors; the program is called with its path and leaves
// outputs.safetensors and, where an answer is no tensor, answer.json or files in answer/. The protocol is
// written down in conformance/README.md.

import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type Answer,
  type Case,
  type CaseKind,
  type CaseTensors,
  type Implementation,
  NotImplemented,
  outputsOf,
  readTensors,
} from '../conformance/index.ts'
import { encodeSafetensors, fromNumbers } from '../io/index.ts'
import { directory } from '../node/index.ts'

/** The exit status of a program that does not know a kind of case. */
const SKIP = 77
const TIME_LIMIT_MS = 60_000
const SHOWN_OUTPUT = 2000

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

async function writeQuestion(example: Case, kind: CaseKind, at: string): Promise<void> {
  const { json, tensors } = example
  const answers = new Set(kind.outputs?.(example) ?? outputsOf(example))
  const question = kind.question ? (kind.question(json) as object) : json
  await writeFile(
    join(at, 'case.json'),
    `${JSON.stringify({ name: example.name, ...question, outputs: [...answers] }, null, 1)}\n`,
  )
  const inputs = [...tensors].filter(([name]) => !answers.has(name))
  const contents = inputs.map(([name, { dtype, shape, data }]) => {
    return [name, { dtype, shape, bytes: fromNumbers(data, dtype) }] as const
  })
  await writeFile(join(at, 'inputs.safetensors'), encodeSafetensors(new Map(contents)))
}

async function copyFiles(example: Case, at: string): Promise<void> {
  const source = POINTING.includes(example.kind) ? example.root : example.files
  for (const name of FOLDERS[example.kind]?.(example) ?? []) {
    const target = join(at, name)
    await mkdir(dirname(target), { recursive: true })
    await cp(join(source.label, name), target, { recursive: true, force: true }).catch(() => {})
  }
}

interface Ended {
  readonly status: number | null
  readonly text: string
}

function callProgram(command: string, at: string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(`${command} "$LOWRANK_CASE"`, {
      shell: true,
      env: { ...process.env, LOWRANK_CASE: at },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: TIME_LIMIT_MS,
    })
    let text = ''
    const collect = (piece: Buffer): void => {
      text = (text + piece.toString('utf8')).slice(-SHOWN_OUTPUT)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.on('error', reject)
    child.on('close', status => resolve({ status, text: text.trim() }))
  })
}

async function tensorsAt(at: string): Promise<CaseTensors> {
  const source = directory(at)
  return (await source.has('outputs.safetensors'))
    ? readTensors(source, 'outputs.safetensors')
    : new Map()
}

/** The files of an answer that is files. */
async function filesAt(at: string): Promise<Record<string, Uint8Array>> {
  const names = await readdir(at).catch(() => [])
  const files = await Promise.all(names.map(name => readFile(join(at, name))))
  return Object.fromEntries(names.map((name, i) => [name, new Uint8Array(files[i])]))
}

async function readAnswer(at: string): Promise<Answer> {
  const found = await tensorsAt(at)
  const text = await readFile(join(at, 'answer.json'), 'utf8').catch(() => '{}')
  const file = await readFile(join(at, 'answer.gguf')).catch(() => undefined)
  const files = await filesAt(join(at, 'answer'))
  const precision = [...found.values()].some(({ dtype }) => dtype === 'F64') ? 64 : 32
  const json = { ...JSON.parse(text), files, ...(file && { file: new Uint8Array(file) }) }
  return { tensors: Object.fromEntries(found), json, precision }
}

async function ask(command: string, example: Case, kind: CaseKind, at: string): Promise<Answer> {
  await writeQuestion(example, kind, at)
  await copyFiles(example, at)
  const { status, text } = await callProgram(command, at)
  if (status === SKIP) {
    throw new NotImplemented('the command does not know this kind of case')
  }
  if (status !== 0) {
    const end = status === null ? `no end within ${TIME_LIMIT_MS / 1000} s` : `status ${status}`
    throw new Error(`the command ended with ${end}: ${text || 'no output'}`)
  }
  return readAnswer(at)
}

/** A program as an implementation: `command` is called by the shell with the path of a case. */
export function foreign(command: string): Implementation {
  const answer = async (example: Case, kind: CaseKind): Promise<Answer> => {
    const at = await mkdtemp(join(tmpdir(), 'lowrank-case-'))
    try {
      return await ask(command, example, kind, at)
    } finally {
      await rm(at, { recursive: true, force: true })
    }
  }
  return { name: command, precision: 64, answer }
}

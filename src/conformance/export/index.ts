// Cases of the family export: adapters as GGUF. Where llama.cpp's converter is right, every tensor
// must have its bytes; where it loses a scaling, B must be the stored one times what was lost; of GPT-2,
// whose matrices it transposes, A must be the transpose of the stored B, and B that of A.

import { LowrankError } from '../../core/errors.ts'
import { toFloat64 } from '../../io/dtypes.ts'
import { readJson } from '../../io/index.ts'
import { exportGguf } from '../../lora/files/gguf.ts'
import { GGUF_ARCHITECTURES, ggufName } from '../../lora/files/gguf_names.ts'
import { type Case, folderOf } from '../case.ts'
import { type Check, checkEqual, checkThat, compareTensor } from '../compare.ts'
import type { Answer, CaseKind } from '../kind.ts'
import { adapterFileKinds } from './adapter_files.ts'
import { type GgufFile, readGguf, type StoredGgufTensor } from './gguf_reader.ts'

type Json = Readonly<Record<string, unknown>>

/** What the answer is called. */
const ANSWER = 'answer.gguf'

async function convert(example: Case): Promise<Uint8Array> {
  const model = folderOf(example.root, example.json.model)
  const base = (await readJson(model, 'base/config.json')) as Json
  return exportGguf(folderOf(model, 'adapter'), base, { outtype: example.json.outtype })
}

async function runGguf(example: Case): Promise<Answer> {
  return { tensors: {}, files: { [ANSWER]: await convert(example) } }
}

async function sha256(bytes: Uint8Array): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new Uint8Array(bytes)))
  return Array.from(digest, byte => byte.toString(16).padStart(2, '0')).join('')
}

function valuesOf({ bytes, type }: StoredGgufTensor): Float64Array {
  return toFloat64(bytes, type)
}

/** What readers of a file lose of each layer's B, by llama.cpp's name of it. */
function lostFactors({ json }: Case): Map<string, number> {
  const known = Object.values(GGUF_ARCHITECTURES)
  const architecture = known.find(({ name }) => name === json.kv['general.architecture'].value)
  const scalings = Object.entries(json.scaling as Record<string, { peft: number; gguf: number }>)
  return new Map(
    scalings.flatMap(([path, { peft, gguf }]) => {
      const name = architecture && ggufName(architecture, path)?.full
      return name ? [[`${name}.weight.lora_b`, peft / gguf] as const] : []
    }),
  )
}

/** One rounding of the stored type, twice: the stored B was rounded, too. */
function rounding(type: 'F32' | 'F16'): number {
  return type === 'F32' ? 1 / 0x800000 : 1 / 0x400
}

async function sameBytes(example: Case, got: GgufFile): Promise<Check[]> {
  const checks: Check[] = []
  for (const [name, want] of Object.entries(example.json.tensors as Record<string, Json>)) {
    const tensor = got.tensors.get(name)
    const answer = tensor && {
      dims: tensor.dims,
      type: tensor.type,
      bytes: tensor.bytes.length,
      sha256: await sha256(tensor.bytes),
    }
    checks.push(checkEqual(name, answer, want))
  }
  return checks
}

function compareValues(
  name: string,
  got: StoredGgufTensor | undefined,
  values: Float64Array,
  dims: readonly number[],
  type: 'F32' | 'F16',
): Check {
  const answer = got && { shape: got.dims, data: valuesOf(got) }
  const want = { dtype: 'F64', shape: dims, data: values } as const
  return compareTensor(name, answer, want, rounding(type))
}

function times(values: Float64Array, factor: number): Float64Array {
  return values.map(value => value * factor)
}

function foldedValues(example: Case, want: GgufFile, got: GgufFile): Check[] {
  const factors = lostFactors(example)
  return [...want.tensors].map(([name, stored]) => {
    const values = times(valuesOf(stored), factors.get(name) ?? 1)
    return compareValues(name, got.tensors.get(name), values, stored.dims, stored.type)
  })
}

/** The embedding is no Conv1D, so that the script leaves its matrices as they are. */
function isEmbedding(name: string): boolean {
  return /^(token|position)_embd\./.test(name)
}

function turnedValues(example: Case, want: GgufFile, got: GgufFile): Check[] {
  const factors = lostFactors(example)
  return [...want.tensors].map(([name, { dims, type, bytes }]) => {
    const stored = toFloat64(bytes, type)
    if (isEmbedding(name)) {
      const values = times(stored, factors.get(name) ?? 1)
      return compareValues(name, got.tensors.get(name), values, dims, type)
    }
    const [cols, rows] = dims
    const turned = stored.map((_, at) => stored[(at % rows) * cols + Math.floor(at / rows)])
    const other = name.endsWith('_a') ? name.replace(/a$/, 'b') : name.replace(/b$/, 'a')
    const values = times(turned, factors.get(other) ?? 1)
    return compareValues(other, got.tensors.get(other), values, [rows, cols], type)
  })
}

async function compareGguf(example: Case, answer: Answer): Promise<Check[]> {
  const file = answer.files?.[ANSWER]
  if (!file) {
    return [checkThat(ANSWER, false, 'expected this file, got none')]
  }
  const got = readGguf(file, ANSWER)
  const want = readGguf(await example.files.read(example.json.file))
  const checks = [
    checkEqual('kv', got.kv, example.json.kv),
    checkEqual('names', [...got.tensors.keys()].sort(), [...want.tensors.keys()].sort()),
  ]
  if (example.json.kv['general.architecture'].value === 'gpt2') {
    return [...checks, ...turnedValues(example, want, got)]
  }
  if (example.json.scaling_lost) {
    return [...checks, ...foldedValues(example, want, got)]
  }
  return [...checks, ...(await sameBytes(example, got))]
}

async function runAttempt(example: Case): Promise<Answer> {
  try {
    await convert(example)
    return { tensors: {}, json: { outcome: 'converted' } }
  } catch (error) {
    if (!(error instanceof LowrankError)) {
      throw error
    }
    return { tensors: {}, json: { outcome: 'refused', message: error.message } }
  }
}

function compareAttempt({ json }: Case, answer: Answer): Check[] {
  const outcome = answer.json?.outcome
  return [
    checkThat('outcome', outcome === json.outcome, `expected ${json.outcome}, got ${outcome}`),
  ]
}

export const exportKinds: Readonly<Record<string, CaseKind>> = {
  ...adapterFileKinds,
  'export/gguf_lora': {
    run: runGguf,
    compare: compareGguf,
    question: ({ model, outtype }) => ({ model, outtype }),
  },
  'export/attempts': {
    run: runAttempt,
    compare: compareAttempt,
    question: ({ model, outtype }) => ({ model, outtype }),
  },
}

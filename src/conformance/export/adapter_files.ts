// Cases of the family export whose folder holds an adapter of PEFT's, base/config.json and, under
// expected/, what others read: a GGUF file, the two files of mlx-lm, or PEFT's without patterns and
// rank-stabilised scaling. Tensors are compared, and what a reader of the answer makes of each layer:
//
//   GGUF  alpha/r · B·A        MLX  scale · (lora_a·lora_b)ᵀ        PEFT  lora_alpha/r · B·A

import { readJson, toFloat64 } from '../../io/index.ts'
import { memoryDirectory } from '../../io/memory.ts'
import type { ByteSource, Directory } from '../../io/source.ts'
import { multiply, transpose } from '../../linalg/index.ts'
import { exportGguf } from '../../lora/files/gguf.ts'
import { exportMlx } from '../../lora/files/mlx.ts'
import { exportPortable } from '../../lora/files/portable.ts'
import { type Case, type CaseTensor, type CaseTensors, folderOf, readTensors } from '../case.ts'
import { type Answered, type Check, checkEqual, checkThat, compareTensor } from '../compare.ts'
import type { Answer, CaseKind } from '../kind.ts'
import { type GgufFile, readGguf } from './gguf_reader.ts'

type Json = Readonly<Record<string, unknown>>

interface Factors {
  readonly A: CaseTensor
  readonly B: CaseTensor
  readonly scaling: number
}

async function runGguf({ files, json }: Case): Promise<Answer> {
  const base = (await readJson(files, 'base/config.json')) as Json
  const file = await exportGguf(folderOf(files, 'adapter'), base, { outtype: json.outtype })
  return { tensors: {}, files: { 'adapter.gguf': file } }
}

type Write = (source: ByteSource, directory: Directory) => Promise<unknown>

function written(write: Write): (example: Case) => Promise<Answer> {
  return async ({ files }) => {
    const directory = memoryDirectory()
    await write(folderOf(files, 'adapter'), directory)
    const names = await directory.list()
    const bytes = await Promise.all(names.map(name => directory.read(name)))
    return { tensors: {}, files: Object.fromEntries(names.map((name, i) => [name, bytes[i]])) }
  }
}

function filesOf(answer: Answer): ByteSource {
  return memoryDirectory(answer.files ?? {})
}

/** Every stored tensor with the same type and numbers, and none beside those that may be there. */
function compareValues(
  example: Case,
  got: CaseTensors,
  want: CaseTensors,
  others: RegExp = /^$/,
): Check[] {
  const { values } = example.json.tolerance
  const extra = [...got.keys()].filter(name => !want.has(name) && !others.test(name))
  const checks = [...want].flatMap(([name, tensor]) => [
    compareTensor(name, got.get(name), tensor, values),
    checkEqual(`${name}: dtype`, got.get(name)?.dtype, tensor.dtype),
  ])
  return [...checks, checkThat('names', extra.length === 0, `unexpected: ${extra.join(', ')}`)]
}

/** What a layer's factors amount to, beside what PEFT's do. */
function compareDelta(example: Case, layers: ReadonlyMap<string, Factors>): Check[] {
  const wanted = [...example.tensors].filter(([name]) => name.startsWith('delta.'))
  return wanted.map(([name, want]) => {
    const found = layers.get(name.slice('delta.'.length))
    return compareTensor(name, found && scaledProduct(found), want, example.json.tolerance.delta)
  })
}

function scaledProduct({ A, B, scaling }: Factors): Answered {
  const [r, cols] = A.shape
  const [rows] = B.shape
  const [b, a] = [Float64Array.from(B.data), Float64Array.from(A.data)]
  return { shape: [rows, cols], data: multiply(b, a, rows, r, cols).map(v => v * scaling) }
}

function turned({ dtype, shape: [rows, cols], data }: CaseTensor): CaseTensor {
  return { dtype, shape: [cols, rows], data: transpose(Float64Array.from(data), rows, cols) }
}

/** Tensors of a GGUF file; sizes are fastest first there. */
function ggufTensors({ tensors }: GgufFile): CaseTensors {
  return new Map(
    [...tensors].map(([name, { dims, type, bytes }]) => [
      name,
      { dtype: type, shape: dims.toReversed(), data: toFloat64(bytes, type) },
    ]),
  )
}

function ggufLayers(file: GgufFile): Map<string, Factors> {
  const tensors = ggufTensors(file)
  const alpha = Number(file.kv['adapter.lora.alpha']?.value)
  const layers = new Map<string, Factors>()
  for (const [key, tensor] of tensors) {
    const name = key.replace(/\.lora_b$/, '')
    const lowered = tensors.get(`${name}.lora_a`)
    if (key.endsWith('.lora_b') && lowered) {
      // llama.cpp looks rows of an embedding's A up, which so lie the other way round.
      const A = name === 'token_embd.weight' ? turned(lowered) : lowered
      layers.set(name, { A, B: tensor, scaling: alpha / A.shape[0] })
    }
  }
  return layers
}

async function compareGguf(example: Case, answer: Answer): Promise<Check[]> {
  const source = filesOf(answer)
  if (!(await source.has('adapter.gguf'))) {
    return [checkThat('adapter.gguf', false, 'expected this file, got none')]
  }
  const bytes = await source.read('adapter.gguf')
  const expected = await example.files.read('expected/adapter.gguf')
  const [got, want] = [readGguf(bytes, 'adapter.gguf'), readGguf(expected)]
  const same = bytes.length === expected.length && bytes.every((byte, i) => byte === expected[i])
  const exact = example.json.tolerance.values === 0
  return [
    checkEqual('keys', got.kv, want.kv),
    ...compareValues(example, ggufTensors(got), ggufTensors(want)),
    ...compareDelta(example, ggufLayers(got)),
    ...(exact ? [checkThat('bytes', same, 'the tensors agree, the files do not')] : []),
  ]
}

function mlxLayers(config: Json, tensors: CaseTensors): Map<string, Factors> {
  const { scale } = (config.lora_parameters ?? {}) as { scale?: number }
  const layers = new Map<string, Factors>()
  for (const [key, tensor] of tensors) {
    const path = key.replace(/\.lora_a$/, '')
    const raised = tensors.get(`${path}.lora_b`)
    if (key.endsWith('.lora_a') && raised) {
      layers.set(path, { A: turned(tensor), B: turned(raised), scaling: Number(scale) })
    }
  }
  return layers
}

function mlxSettings({ fine_tune_type, lora_parameters }: Json): unknown {
  const { rank, scale, keys } = (lora_parameters ?? {}) as { [name: string]: unknown }
  return { fine_tune_type, rank, scale, keys: Array.isArray(keys) ? [...keys].sort() : keys }
}

interface Answers {
  readonly config: Json
  readonly tensors: CaseTensors
}

async function adapterIn(source: ByteSource, folder: string, weights: string): Promise<Answers> {
  const config = (await readJson(source, `${folder}adapter_config.json`)) as Json
  return { config, tensors: await readTensors(source, `${folder}${weights}`) }
}

async function compareMlx(example: Case, answer: Answer): Promise<Check[]> {
  const weights = 'adapters.safetensors'
  const got = await adapterIn(filesOf(answer), '', weights)
  const want = await adapterIn(example.files, 'expected/', weights)
  return [
    checkEqual('adapter_config.json', mlxSettings(got.config), mlxSettings(want.config)),
    // mlx-lm reads what it knows; PEFT's own may be kept beside it for the way back.
    ...compareValues(example, got.tensors, want.tensors, /^peft\./),
    ...compareDelta(example, mlxLayers(got.config, got.tensors)),
  ]
}

const PREFIX = 'base_model.model.'
const LORA_A = /\.(lora_A\.weight|lora_embedding_A)$/

function peftLayers({ r, lora_alpha }: Json, tensors: CaseTensors): Map<string, Factors> {
  const layers = new Map<string, Factors>()
  for (const [key, A] of tensors) {
    const B = tensors.get(key.replace('lora_A', 'lora_B').replace('embedding_A', 'embedding_B'))
    if (LORA_A.test(key) && B) {
      const path = key.slice(PREFIX.length).replace(LORA_A, '')
      layers.set(path, { A, B, scaling: Number(lora_alpha) / Number(r) })
    }
  }
  return layers
}

function plainSettings(config: Json): unknown {
  const { r, lora_alpha, use_rslora = false, rank_pattern, alpha_pattern } = config
  return { r, lora_alpha, use_rslora, rank_pattern, alpha_pattern }
}

async function comparePortable(example: Case, answer: Answer): Promise<Check[]> {
  const weights = 'adapter_model.safetensors'
  const got = await adapterIn(filesOf(answer), '', weights)
  const want = await adapterIn(example.files, 'expected/', weights)
  return [
    checkEqual('adapter_config.json', plainSettings(got.config), plainSettings(want.config)),
    ...compareValues(example, got.tensors, want.tensors),
    ...compareDelta(example, peftLayers(got.config, got.tensors)),
  ]
}

const question = ({ outputs: _, ...json }: Json): unknown => json

export const adapterFileKinds: Readonly<Record<string, CaseKind>> = {
  'export/gguf': { run: runGguf, compare: compareGguf, question },
  'export/mlx': { run: written(exportMlx), compare: compareMlx, question },
  'export/portable': { run: written(exportPortable), compare: comparePortable, question },
}

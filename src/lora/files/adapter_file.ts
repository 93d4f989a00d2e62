// A PEFT adapter directory as numbers, without a model: which layers it is for, A and B of each, and
// what multiplies B·A there. What other formats are written from, and what adapters are combined from
// where no model is at hand.

import { LowrankError, throwAll } from '../../core/errors.ts'
import { fromNumbers, type StoredDType, toFloat64 } from '../../io/dtypes.ts'
import { openSafetensors, type StoredTensor, type TensorFiles } from '../../io/safetensors.ts'
import { encodeSafetensors } from '../../io/safetensors-writer.ts'
import {
  type ByteSource,
  type Directory,
  locate,
  readJson,
  type WriteOptions,
} from '../../io/source.ts'
import { scalingOf } from '../config.ts'
import { patternValue } from '../targets.ts'

export type Json = Readonly<Record<string, unknown>>

/** A tensor of a file, in f64. */
export interface FileTensor {
  readonly dtype: StoredDType
  readonly shape: readonly number[]
  readonly data: Float64Array
}

/** One adapted layer: A [r, …] and B [out, r, …] in the orientation of PEFT's files. */
export interface FileLayer {
  readonly path: string
  readonly kind: 'linear' | 'embedding'
  readonly r: number
  /** What multiplies B·A. */
  readonly scaling: number
  readonly A: FileTensor
  readonly B: FileTensor
  /** The bias of B. */
  readonly bias?: FileTensor
  /** DoRA's magnitudes. */
  readonly magnitude?: FileTensor
}

/** An adapter as its two files have it. */
export interface AdapterFile {
  /** Where it was read. */
  readonly label: string
  /** adapter_config.json. */
  readonly config: Json
  readonly r: number
  readonly loraAlpha: number
  /** In the order of their keys. */
  readonly layers: readonly FileLayer[]
  /** Every tensor that belongs to no layer's A, B, bias or magnitude, by its key. */
  readonly others: ReadonlyMap<string, FileTensor>
}

const CONFIG = 'adapter_config.json'
const WEIGHTS = 'adapter_model.safetensors'
const PREFIX = 'base_model.model.'
const SUFFIX =
  /^(.+)\.(?:lora_(?:embedding_)?(A|B)(?:\.weight)?|lora_B\.(bias)|lora_(magnitude)_vector(?:\.weight)?)$/

type Part = 'A' | 'B' | 'bias' | 'magnitude'

interface Gathered {
  readonly embedding: boolean
  readonly parts: Partial<Record<Part, FileTensor>>
}

function configProblems(config: Json): string[] {
  const problems: string[] = []
  if (config.peft_type !== 'LORA') {
    problems.push(`peft_type: expected "LORA", got ${JSON.stringify(config.peft_type)}`)
  }
  for (const key of ['r', 'lora_alpha']) {
    if (!Number.isFinite(config[key])) {
      problems.push(`${key}: expected a number, got ${JSON.stringify(config[key])}`)
    }
  }
  return problems
}

async function readConfig(source: ByteSource): Promise<Json> {
  const where = locate(source, CONFIG)
  const config = await readJson(source, CONFIG)
  if (config === null || typeof config !== 'object' || Array.isArray(config)) {
    throw new LowrankError('config', `${where}: expected an object, got ${JSON.stringify(config)}`)
  }
  // PEFT's own defaults, for files that leave them out.
  const full = { r: 8, lora_alpha: 8, ...config } as Json
  throwAll('config', where, configProblems(full))
  return full
}

/** One tensor in f64. */
export async function fileTensor(
  files: TensorFiles,
  { name, dtype, shape }: StoredTensor,
): Promise<FileTensor> {
  return { dtype, shape, data: toFloat64(await files.read(name), dtype) }
}

async function gather(
  files: TensorFiles,
): Promise<{ layers: Map<string, Gathered>; others: Map<string, FileTensor> }> {
  const layers = new Map<string, Gathered>()
  const others = new Map<string, FileTensor>()
  for (const [key, entry] of files.tensors) {
    const stored = await fileTensor(files, entry)
    const match = SUFFIX.exec(key)
    if (!match) {
      others.set(key, stored)
      continue
    }
    const [, module, factor, bias, magnitude] = match
    const path = module.startsWith(PREFIX) ? module.slice(PREFIX.length) : module
    const own = layers.get(path) ?? { embedding: key.includes('lora_embedding_'), parts: {} }
    own.parts[(factor ?? bias ?? magnitude) as Part] = stored
    layers.set(path, own)
  }
  return { layers, others }
}

function patterns(config: Json, key: string): Readonly<Record<string, number>> {
  return (config[key] ?? {}) as Readonly<Record<string, number>>
}

/** What a configuration multiplies B·A by on a layer. */
export function layerScaling(config: Json, path: string): number {
  const loraAlpha =
    patternValue('alpha_pattern', path, patterns(config, 'alpha_pattern')) ??
    (config.lora_alpha as number)
  // By the rank of the configuration, which a file may have fewer rows than.
  const r =
    patternValue('rank_pattern', path, patterns(config, 'rank_pattern')) ?? (config.r as number)
  return scalingOf(r, loraAlpha, config.use_rslora === true)
}

function layerOf(path: string, { embedding, parts }: Gathered, config: Json): FileLayer {
  const { A, B, bias, magnitude } = parts as Required<Gathered['parts']>
  return {
    path,
    kind: embedding ? 'embedding' : 'linear',
    r: A.shape[0],
    scaling: layerScaling(config, path),
    A,
    B,
    bias,
    magnitude,
  }
}

function layerProblems(path: string, { parts }: Gathered): string[] {
  const { A, B } = parts
  if (!A || !B) {
    return [`"${path}" has ${A ? 'A without B' : 'no A'} (A and B belong together)`]
  }
  return A.shape[0] === B.shape[1]
    ? []
    : [`"${path}" has A [${A.shape.join(', ')}] and B [${B.shape.join(', ')}], of unequal ranks`]
}

/**
 * Reads an adapter directory without a model. Throws `config` or `file` errors that list everything
 * that is wrong with it.
 */
export async function readAdapterFile(source: ByteSource): Promise<AdapterFile> {
  const config = await readConfig(source)
  const { layers, others } = await gather(await openSafetensors(source, WEIGHTS))
  const problems = [...layers].flatMap(([path, own]) => layerProblems(path, own))
  if (layers.size === 0) {
    problems.push('expected tensors named lora_A and lora_B, got none')
  }
  throwAll('file', locate(source, WEIGHTS), problems)
  return {
    label: source.label,
    config,
    r: config.r as number,
    loraAlpha: config.lora_alpha as number,
    layers: [...layers].map(([path, own]) => layerOf(path, own, config)),
    others,
  }
}

/**
 * Why an adapter cannot be used apart from PEFT's own way of loading it: one whose start was taken
 * from the base is an update of a base that no other program has.
 */
export function mutatedBase(config: Json): string | undefined {
  const init = String(config.init_lora_weights)
  return /^(pissa|olora|corda|loftq|lora_ga)/i.test(init)
    ? `init_lora_weights is ${JSON.stringify(init)}: its start was taken from the base, so it does ` +
        'not fit the base as it is (save it with convertToLora first)'
    : undefined
}

/** PEFT's keys of a layer's A and B. */
export function factorKeys({ path, kind }: FileLayer): readonly [A: string, B: string] {
  const module = `${PREFIX}${path}`
  return kind === 'embedding'
    ? [`${module}.lora_embedding_A`, `${module}.lora_embedding_B`]
    : [`${module}.lora_A.weight`, `${module}.lora_B.weight`]
}

function keysOf(layer: FileLayer): [string, FileTensor][] {
  const { path, A, B, bias, magnitude } = layer
  const module = `${PREFIX}${path}`
  const [a, b] = factorKeys(layer)
  const entries: [string, FileTensor | undefined][] = [
    [a, A],
    [b, B],
    [`${module}.lora_B.bias`, bias],
    [`${module}.lora_magnitude_vector`, magnitude],
  ]
  return entries.filter((entry): entry is [string, FileTensor] => entry[1] !== undefined)
}

/** The bytes of tensors, in PEFT's file. */
export function encodeTensors(
  tensors: Iterable<readonly [string, FileTensor]>,
  format: string,
): Uint8Array {
  const encoded = [...tensors].map(([key, { dtype, shape, data }]) => {
    return [key, { dtype, shape, bytes: fromNumbers(data, dtype) }] as const
  })
  return encodeSafetensors(new Map(encoded), { format })
}

function sorted(config: Json): string {
  const entries = Object.keys(config)
    .sort()
    .map(key => [key, config[key]])
  const text = JSON.stringify(Object.fromEntries(entries), null, 2)
  return text.replace(/("lora_dropout": 0)(?=[,\n])/, '$1.0')
}

/** Writes an adapter as PEFT does: both files, or nothing. */
export async function writeAdapterFile(
  { config, layers, others }: Pick<AdapterFile, 'config' | 'layers' | 'others'>,
  directory: Directory,
  options: WriteOptions = {},
): Promise<void> {
  const tensors = [...layers.flatMap(keysOf), ...others]
  const files = new Map<string, string | Uint8Array>([
    [CONFIG, sorted(config)],
    [WEIGHTS, encodeTensors(tensors, 'pt')],
  ])
  await directory.writeAll(files, options)
}

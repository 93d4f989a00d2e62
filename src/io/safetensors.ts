// Reading safetensors: the header first, then the bytes of the tensors that are asked for. A model
// in one file, or in shards with an index of which tensor is where, reads the same.
// Source: safetensors 0.8 (github.com/huggingface/safetensors); the index as transformers writes it.

import { LowrankError, throwAll } from '../core/errors.ts'
import type { StoredDType } from './dtypes.ts'
import { type Header, headerLength, PREFIX_BYTES, parseHeader } from './safetensors-header.ts'
import { type ByteSource, checkName, checkRange, locate, readJson } from './source.ts'

/** A tensor in a file: bytes `start` up to `end` of `file`. */
export interface StoredTensor {
  readonly name: string
  readonly dtype: StoredDType
  readonly shape: readonly number[]
  readonly file: string
  readonly start: number
  readonly end: number
}

/** The tensors of one file, or of all shards of a model, read on demand. */
export interface TensorFiles {
  /** Where they are, for messages. */
  readonly label: string
  readonly tensors: ReadonlyMap<string, StoredTensor>
  /** Absent where the file has none; of the first shard if there are several. */
  readonly metadata: ReadonlyMap<string, string> | undefined
  /** The bytes of a tensor, or bytes `start` up to `end` of them: a fresh, aligned array. */
  read(name: string, start?: number, end?: number): Promise<Uint8Array>
}

/** A tensor of a file that is in memory; `bytes` shares the file's memory, at any alignment. */
export interface ParsedTensor {
  readonly dtype: StoredDType
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

export interface ParsedSafetensors {
  /** In the order of the data. */
  readonly tensors: ReadonlyMap<string, ParsedTensor>
  /** Absent where the file has none. */
  readonly metadata: ReadonlyMap<string, string> | undefined
}

/** Enough for the header of most adapters: one request instead of two. */
const FIRST_READ = 65_536

/** A damaged header can break a rule for each of its thousands of tensors. */
const SHOWN_PROBLEMS = 20

/** The length of the header's JSON, checked. */
function checkedLength(label: string, prefix: Uint8Array, fileSize: number): number {
  const result = headerLength(prefix, fileSize)
  if ('problem' in result) {
    throw new LowrankError('file', `safetensors: ${label}: ${result.problem.text}`)
  }
  return result.length
}

function checkedHeader(label: string, json: Uint8Array, dataSize: number): Header {
  const header = parseHeader(json, dataSize)
  const texts = header.problems.map(problem => problem.text)
  const shown = texts.slice(0, SHOWN_PROBLEMS)
  if (texts.length > shown.length) {
    shown.push(`and ${texts.length - shown.length} more`)
  }
  throwAll('file', `safetensors: ${label}`, shown)
  return header
}

/**
 * All tensors of a safetensors file's bytes.
 *
 * Throws `file` with everything that breaks the format's rules; `label` names the file in the
 * message. Source: safetensors 0.8.
 *
 * @example
 * ```ts
 * import { encodeSafetensors, parseSafetensors, toFloat32 } from 'lowrank/io'
 *
 * const bytes = new Uint8Array([0, 0, 128, 63])
 * const file = encodeSafetensors(new Map([['w', { dtype: 'F32', shape: [1], bytes }]]))
 * const w = parseSafetensors(file).tensors.get('w')
 * console.log(w && toFloat32(w.bytes, w.dtype)) // Float32Array [1]
 * ```
 */
export function parseSafetensors(file: Uint8Array, label: string = 'file'): ParsedSafetensors {
  const length = checkedLength(label, file.subarray(0, PREFIX_BYTES), file.length)
  const data = file.subarray(PREFIX_BYTES + length)
  const json = file.subarray(PREFIX_BYTES, PREFIX_BYTES + length)
  const header = checkedHeader(label, json, data.length)
  const tensors = new Map<string, ParsedTensor>()
  for (const { name, dtype, shape, start, end } of header.tensors) {
    tensors.set(name, { dtype, shape, bytes: data.subarray(start, end) })
  }
  return { tensors, metadata: header.metadata }
}

class OpenTensors implements TensorFiles {
  readonly label: string
  readonly tensors: ReadonlyMap<string, StoredTensor>
  readonly metadata: ReadonlyMap<string, string> | undefined
  readonly #source: ByteSource

  constructor(
    source: ByteSource,
    label: string,
    tensors: ReadonlyMap<string, StoredTensor>,
    metadata: ReadonlyMap<string, string> | undefined,
  ) {
    this.#source = source
    this.label = label
    this.tensors = tensors
    this.metadata = metadata
  }

  async read(name: string, start: number = 0, end?: number): Promise<Uint8Array> {
    const tensor = this.tensors.get(name)
    if (tensor === undefined) {
      throw new LowrankError(
        'file',
        `safetensors: ${this.label}: expected a tensor "${name}", got ${this.tensors.size} others`,
      )
    }
    const size = tensor.end - tensor.start
    checkRange(`safetensors: ${this.label}: "${name}"`, size, start, end ?? size)
    return this.#source.read(tensor.file, tensor.start + start, tensor.start + (end ?? size))
  }
}

/**
 * Opens one safetensors file: reads and checks its header, and none of its data.
 *
 * Throws `file` if it is missing, with everything that breaks the format's rules otherwise.
 * Source: safetensors 0.8.
 *
 * @example
 * ```ts
 * import { encodeSafetensors, memoryDirectory, openSafetensors } from 'lowrank/io'
 *
 * const bytes = new Uint8Array(8)
 * const file = encodeSafetensors(new Map([['w', { dtype: 'F32', shape: [2], bytes }]]))
 * const opened = await openSafetensors(memoryDirectory({ 'w.safetensors': file }), 'w.safetensors')
 * console.log(opened.tensors.get('w')?.shape) // [2]
 * ```
 */
export async function openSafetensors(source: ByteSource, file: string): Promise<TensorFiles> {
  const label = locate(source, file)
  const size = await source.size(file)
  const first = await source.read(file, 0, Math.min(size, FIRST_READ))
  const length = checkedLength(label, first, size)
  const dataStart = PREFIX_BYTES + length
  const json =
    dataStart <= first.length
      ? first.subarray(PREFIX_BYTES, dataStart)
      : await source.read(file, PREFIX_BYTES, dataStart)
  const header = checkedHeader(label, json, size - dataStart)
  const tensors = new Map<string, StoredTensor>()
  for (const entry of header.tensors) {
    const { start, end } = entry
    tensors.set(entry.name, { ...entry, file, start: dataStart + start, end: dataStart + end })
  }
  return new OpenTensors(source, label, tensors, header.metadata)
}

/** Which shard holds which tensor, as an index file says. */
function weightMap(label: string, index: unknown): Map<string, string> {
  const map = (index as { weight_map?: unknown } | null)?.weight_map
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new LowrankError('file', `${label}: expected an object "weight_map", got none`)
  }
  const entries = Object.entries(map)
  const problems = entries
    .filter(([, file]) => typeof file !== 'string')
    .map(([name, file]) => `expected a file name for "${name}", got ${JSON.stringify(file)}`)
  throwAll('file', label, problems)
  return new Map(entries)
}

/** Opens all shards, or says what is wrong with each that cannot be opened. */
async function openAll(
  source: ByteSource,
  label: string,
  files: readonly string[],
): Promise<Map<string, TensorFiles>> {
  const shards = new Map<string, TensorFiles>()
  const problems: string[] = []
  for (const file of files) {
    try {
      shards.set(file, await openSafetensors(source, file))
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error))
    }
  }
  throwAll('file', label, problems)
  return shards
}

async function openShards(source: ByteSource, index: string): Promise<TensorFiles> {
  const label = locate(source, index)
  const map = weightMap(label, await readJson(source, index))
  const files = [...new Set(map.values())].sort()
  for (const file of files) {
    // Not every source refuses a name that leads elsewhere.
    checkName(source, file)
  }
  const shards = await openAll(source, label, files)
  const tensors = new Map<string, StoredTensor>()
  const problems: string[] = []
  for (const [name, file] of map) {
    const tensor = shards.get(file)?.tensors.get(name)
    if (tensor === undefined) {
      problems.push(`expected "${name}" in ${file}, got a file without it`)
    } else {
      tensors.set(name, tensor)
    }
  }
  throwAll('file', label, problems)
  return new OpenTensors(source, label, tensors, shards.get(files[0])?.metadata)
}

/**
 * Opens a model's tensors: `NAME.safetensors`, or the shards of `NAME.safetensors.index.json`.
 *
 * Throws `file` if neither is there, or for everything wrong with the files. A tensor that a shard
 * has but the index does not name is left out. Source: transformers' checkpoint layout.
 *
 * @example
 * ```ts
 * import { encodeSafetensors, memoryDirectory, openTensors } from 'lowrank/io'
 *
 * const bytes = new Uint8Array(4)
 * const file = encodeSafetensors(new Map([['w', { dtype: 'F32', shape: [], bytes }]]))
 * const model = await openTensors(memoryDirectory({ 'model.safetensors': file }))
 * console.log(await model.read('w')) // Uint8Array [0, 0, 0, 0]
 * ```
 */
export async function openTensors(
  source: ByteSource,
  name: string = 'model',
): Promise<TensorFiles> {
  const single = `${name}.safetensors`
  const index = `${single}.index.json`
  // As transformers does: the single file first.
  if (!(await source.has(single)) && (await source.has(index))) {
    return openShards(source, index)
  }
  return openSafetensors(source, single)
}

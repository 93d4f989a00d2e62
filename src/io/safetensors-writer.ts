// Writing safetensors, byte for byte like the reference: tensors in the order of their element
// types (last of the format's list first), then of their names (as UTF-8); the header as compact
// JSON, metadata first, padded with spaces to a multiple of 8; then the data, without gaps.
// Source: safetensors 0.8 (github.com/huggingface/safetensors), prepare() in tensor.rs.

import { LowrankError, throwAll } from '../core/errors.ts'
import { byteLength, isStoredDType, STORED_DTYPES, type StoredDType } from './dtypes.ts'
import { MAX_HEADER_BYTES, PREFIX_BYTES } from './safetensors-header.ts'

/** A tensor to write: its little-endian bytes, or a function that makes them when they are due. */
export interface TensorContent {
  readonly dtype: StoredDType
  readonly shape: readonly number[]
  readonly bytes: Uint8Array | (() => Uint8Array | Promise<Uint8Array>)
}

interface Placed {
  readonly name: string
  readonly tensor: TensorContent
  readonly size: number
}

type Metadata = ReadonlyMap<string, string> | Readonly<Record<string, string>>

const WHERE = 'safetensors'

/** A string that UTF-8 can carry: no half surrogate pairs. */
function isWellFormed(text: string): boolean {
  return !/\p{Cs}/u.test(text)
}

function problemOf(name: string, tensor: TensorContent): string | undefined {
  const quoted = JSON.stringify(name)
  if (name === '__metadata__' || !isWellFormed(name)) {
    return `${quoted} cannot name a tensor`
  }
  if (!isStoredDType(tensor.dtype)) {
    return `expected the dtype of ${quoted} to be one of ${STORED_DTYPES.join(', ')}, got ${tensor.dtype}`
  }
  const what = `${quoted} is ${tensor.dtype} [${tensor.shape.join(', ')}]`
  const size = byteLength(tensor.dtype, tensor.shape)
  if (!tensor.shape.every(n => Number.isSafeInteger(n) && n >= 0) || !Number.isSafeInteger(size)) {
    return `${what}, which is no whole number of bytes`
  }
  const { bytes } = tensor
  return bytes instanceof Uint8Array && bytes.length !== size
    ? `${what}, ${size} bytes, but has ${bytes.length}`
    : undefined
}

/** By code points, which is the order of UTF-8 and differs from that of UTF-16 beyond U+FFFF. */
function compareNames(a: string, b: string): number {
  const left = Array.from(a)
  const right = Array.from(b)
  const length = Math.min(left.length, right.length)
  for (let i = 0; i < length; i++) {
    const difference = left[i].codePointAt(0)! - right[i].codePointAt(0)!
    if (difference !== 0) {
      return difference
    }
  }
  return left.length - right.length
}

function placed(tensors: ReadonlyMap<string, TensorContent>): Placed[] {
  const problems = [...tensors].map(([name, tensor]) => problemOf(name, tensor))
  throwAll(
    'argument',
    WHERE,
    problems.filter(problem => problem !== undefined),
  )
  const list = Array.from(tensors, ([name, tensor]) => {
    return { name, tensor, size: byteLength(tensor.dtype, tensor.shape) }
  })
  const place = (entry: Placed): number => STORED_DTYPES.indexOf(entry.tensor.dtype)
  return list.sort((a, b) => place(b) - place(a) || compareNames(a.name, b.name))
}

function metadataJson(metadata: Metadata): string {
  const entries = metadata instanceof Map ? [...metadata] : Object.entries(metadata)
  const problems = entries
    .filter(entry => !entry.every(text => typeof text === 'string' && isWellFormed(text)))
    .map(([key, value]) => `expected metadata ${JSON.stringify(key)} to be a string, got ${value}`)
  throwAll('argument', WHERE, problems)
  const texts = entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
  return `"__metadata__":{${texts.join(',')}}`
}

/** The first bytes of the file: the length of the header, and the header. */
function encodeHeader(entries: readonly Placed[], metadata: Metadata | undefined): Uint8Array {
  const fields = metadata === undefined ? [] : [metadataJson(metadata)]
  let offset = 0
  for (const { name, tensor, size } of entries) {
    const { dtype, shape } = tensor
    const info = JSON.stringify({ dtype, shape, data_offsets: [offset, offset + size] })
    fields.push(`${JSON.stringify(name)}:${info}`)
    offset += size
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`)
  const padded = Math.ceil(json.length / 8) * 8
  if (padded > MAX_HEADER_BYTES) {
    throw new LowrankError(
      'argument',
      `${WHERE}: expected a header of at most ${MAX_HEADER_BYTES} bytes, got ${padded}`,
    )
  }
  const header = new Uint8Array(PREFIX_BYTES + padded).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(padded), true)
  header.set(json, PREFIX_BYTES)
  return header
}

async function dueBytes({ name, tensor, size }: Placed): Promise<Uint8Array> {
  const bytes = tensor.bytes instanceof Uint8Array ? tensor.bytes : await tensor.bytes()
  if (bytes.length !== size) {
    throw new LowrankError(
      'argument',
      `${WHERE}: "${name}" is ${tensor.dtype} [${tensor.shape.join(', ')}], ${size} bytes, but got ${bytes.length}`,
    )
  }
  return bytes
}

/**
 * A safetensors file piece by piece, for files larger than memory: tensors given as functions are
 * made when they are due, and can be forgotten afterwards.
 *
 * Throws `argument` with everything wrong with the tensors, before the first piece. Source:
 * safetensors 0.8, prepare().
 *
 * @example
 * ```ts
 * import { memoryDirectory, streamSafetensors } from 'lowrank/io'
 *
 * const files = memoryDirectory()
 * const zeros = { dtype: 'F32', shape: [256], bytes: () => new Uint8Array(1024) } as const
 * await files.write('zeros.safetensors', streamSafetensors(new Map([['zeros', zeros]])))
 * console.log(await files.size('zeros.safetensors')) // 1096
 * ```
 */
export function streamSafetensors(
  tensors: ReadonlyMap<string, TensorContent>,
  metadata?: Metadata,
): AsyncIterable<Uint8Array> {
  const entries = placed(tensors)
  const header = encodeHeader(entries, metadata)
  async function* pieces(): AsyncGenerator<Uint8Array> {
    yield header
    for (const entry of entries) {
      yield await dueBytes(entry)
    }
  }
  return { [Symbol.asyncIterator]: pieces }
}

/**
 * A safetensors file's bytes, from tensors that are in memory.
 *
 * Throws `argument` with everything wrong with the tensors. Source: safetensors 0.8, prepare().
 *
 * @example
 * ```ts
 * import { encodeSafetensors } from 'lowrank/io'
 *
 * const bytes = new Uint8Array(8)
 * const file = encodeSafetensors(new Map([['w', { dtype: 'F32', shape: [2], bytes }]]))
 * console.log(file.length) // 72
 * ```
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, TensorContent & { readonly bytes: Uint8Array }>,
  metadata?: Metadata,
): Uint8Array {
  const entries = placed(tensors)
  const header = encodeHeader(entries, metadata)
  const total = entries.reduce((sum, { size }) => sum + size, header.length)
  const file = new Uint8Array(total)
  file.set(header)
  let at = header.length
  for (const { tensor, size } of entries) {
    file.set(tensor.bytes as Uint8Array, at)
    at += size
  }
  return file
}

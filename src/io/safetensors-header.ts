// The header of a safetensors file: 8 bytes N (little-endian), N bytes of
// JSON { name: { dtype, shape, data_offsets: [start, end] }, …, __metadata__: { text: text } },
// then the data. What the reference reader refuses is refused, each rule under a name
// (safetensors-rules.ts).
// Source: safetensors 0.8 (github.com/huggingface/safetensors), "Format" and Metadata::validate.

import { isStoredDType, STORED_DTYPES, type StoredDType } from './dtypes.ts'
import { placeIn, tryDecodeUtf8 } from './json.ts'
import { type JsonEntry, type JsonNode, parseJsonTree } from './json-tree.ts'
import {
  checkLayout,
  checkSize,
  LARGEST_U64,
  quoted,
  type RawEntry,
  type Report,
  type SafetensorsProblem,
  type SafetensorsRule,
} from './safetensors-rules.ts'

/** A tensor in a file: `start` and `end` count from the beginning of the data, in bytes. */
export interface HeaderEntry {
  readonly name: string
  readonly dtype: StoredDType
  readonly shape: readonly number[]
  readonly start: number
  readonly end: number
}

export interface Header {
  /** In the order of the data. */
  readonly tensors: readonly HeaderEntry[]
  /** Absent where the file has none. */
  readonly metadata: ReadonlyMap<string, string> | undefined
  readonly problems: readonly SafetensorsProblem[]
}

/** Bytes before the JSON. */
export const PREFIX_BYTES = 8

export const MAX_HEADER_BYTES = 100_000_000

/** The length of the JSON of a file of `fileSize` bytes that starts with `prefix`. */
export function headerLength(
  prefix: Uint8Array,
  fileSize: number,
): { length: number } | { problem: SafetensorsProblem } {
  const problem = (rule: SafetensorsRule, text: string) => ({ problem: { rule, text } })
  if (fileSize < PREFIX_BYTES || prefix.length < PREFIX_BYTES) {
    return problem('too-short', `expected a file of at least 8 bytes, got ${fileSize}`)
  }
  const view = new DataView(prefix.buffer, prefix.byteOffset, PREFIX_BYTES)
  const length = view.getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER_BYTES)) {
    return problem(
      'header-too-long',
      `expected a header of at most ${MAX_HEADER_BYTES} bytes, got a length of ${length} (is it a safetensors file?)`,
    )
  }
  if (Number(length) > fileSize - PREFIX_BYTES) {
    return problem(
      'header-beyond-end',
      `expected a header of ${length} bytes, got ${fileSize - PREFIX_BYTES} bytes before the end of the file (is it complete?)`,
    )
  }
  return { length: Number(length) }
}

/** The meaning of a header's JSON over `dataSize` bytes of data, with everything wrong with it. */
export function parseHeader(json: Uint8Array, dataSize: number): Header {
  const problems: SafetensorsProblem[] = []
  const report: Report = (rule, text) => problems.push({ rule, text })
  const entries = objectOf(json, report)
  const metadata = parseMetadata(entries, report)
  const raw = parseEntries(entries, report)
  // Holes that are there only because an entry was unreadable are not worth a line each.
  const complete = problems.length === 0 && raw.every(({ start, end }) => start <= end)
  for (const entry of raw) {
    checkSize(entry, report)
  }
  if (complete) {
    checkLayout(raw, BigInt(dataSize), report)
  }
  const tensors = raw.map(({ name, dtype, shape, start, end }) => ({
    name,
    dtype,
    shape: shape.map(Number),
    start: Number(start),
    end: Number(end),
  }))
  return { tensors, metadata, problems }
}

function objectOf(json: Uint8Array, report: Report): readonly JsonEntry[] {
  const decoded = tryDecodeUtf8(json)
  if ('position' in decoded) {
    report('utf8', `expected a header in UTF-8, got something else at byte ${decoded.position}`)
    return []
  }
  const result = parseJsonTree(decoded.text)
  if ('problem' in result) {
    const { position, reason } = result.problem
    report('json', `expected JSON in the header: ${placeIn(decoded.text, position)}: ${reason}`)
    return []
  }
  if (result.node.kind !== 'object') {
    report('no-object', `expected a JSON object as header, got ${article(result.node)}`)
    return []
  }
  return result.node.entries
}

function article(node: JsonNode): string {
  switch (node.kind) {
    case 'object':
    case 'array':
      return `an ${node.kind}`
    case 'string':
      return quoted(node.value)
    case 'number':
      return node.text
    case 'literal':
      return String(node.value)
  }
}

/** Metadata is an object of strings, or null; a key that comes twice has its last value. */
function parseMetadata(
  entries: readonly JsonEntry[],
  report: Report,
): ReadonlyMap<string, string> | undefined {
  const found = entries.filter(entry => entry.key === '__metadata__')
  if (found.length > 1) {
    report('duplicate', '"__metadata__" comes twice')
  }
  const node = found[0]?.value
  if (node === undefined || (node.kind === 'literal' && node.value === null)) {
    return undefined
  }
  if (node.kind !== 'object') {
    report('metadata', `expected "__metadata__" to be an object of strings, got ${article(node)}`)
    return undefined
  }
  const metadata = new Map<string, string>()
  for (const { key, value } of node.entries) {
    if (value.kind === 'string') {
      metadata.set(key, value.value)
    } else {
      report('metadata', `expected metadata ${quoted(key)} to be a string, got ${article(value)}`)
    }
  }
  return metadata
}

/** The tensors in the order of the data. Of a name that comes twice, the last entry counts. */
function parseEntries(entries: readonly JsonEntry[], report: Report): RawEntry[] {
  const byName = new Map<string, RawEntry>()
  for (const { key, value } of entries) {
    if (key !== '__metadata__') {
      const entry = parseEntry(key, value, report)
      if (entry !== undefined) {
        byName.set(key, entry)
      }
    }
  }
  return [...byName.values()].sort(
    (a, b) => compare(a.start, b.start) || compare(a.end, b.end) || (a.name < b.name ? -1 : 1),
  )
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function parseEntry(name: string, node: JsonNode, report: Report): RawEntry | undefined {
  if (node.kind !== 'object') {
    report('entry', `expected ${quoted(name)} to be an object, got ${article(node)}`)
    return undefined
  }
  /** What `read` makes of a field, or a report that it is not as wanted. */
  const field = <T>(
    key: string,
    rule: 'dtype' | 'shape' | 'offsets',
    wanted: string,
    read: (node: JsonNode) => T | undefined,
  ): T | undefined => {
    const found = node.entries.filter(entry => entry.key === key)
    if (found.length > 1) {
      report('duplicate', `${quoted(name)} has ${quoted(key)} twice`)
    }
    if (found.length === 0) {
      report('entry', `expected ${quoted(name)} to have ${quoted(key)}, got none`)
      return undefined
    }
    const value = read(found[0].value)
    if (value === undefined) {
      const got = listing(found[0].value)
      report(rule, `expected the ${rule} of ${quoted(name)} to be ${wanted}, got ${got}`)
    }
    return value
  }
  const dtype = field('dtype', 'dtype', `one of ${STORED_DTYPES.join(', ')}`, storedDType)
  const shape = field('shape', 'shape', 'whole numbers', wholeNumbers)
  const offsets = field('data_offsets', 'offsets', '[start, end]', twoNumbers)
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    return undefined
  }
  return { name, dtype, shape, start: offsets[0], end: offsets[1] }
}

function storedDType(node: JsonNode): StoredDType | undefined {
  return node.kind === 'string' && isStoredDType(node.value) ? node.value : undefined
}

/** A whole number from 0 up, written as one: 2.0 and 2e0 are refused, as by the reference. */
function wholeNumber(node: JsonNode): bigint | undefined {
  if (node.kind !== 'number' || !/^\d{1,20}$/.test(node.text)) {
    return undefined
  }
  const value = BigInt(node.text)
  return value > LARGEST_U64 ? undefined : value
}

function wholeNumbers(node: JsonNode): bigint[] | undefined {
  if (node.kind !== 'array') {
    return undefined
  }
  const values = node.items.map(wholeNumber)
  return values.includes(undefined) ? undefined : (values as bigint[])
}

function twoNumbers(node: JsonNode): bigint[] | undefined {
  const values = wholeNumbers(node)
  return values?.length === 2 ? values : undefined
}

/** What was written instead. */
function listing(node: JsonNode): string {
  return node.kind === 'array' ? `[${node.items.map(article).join(', ')}]` : article(node)
}

// JSON Lines (jsonlines.org): one JSON value per line, UTF-8, lines ended by LF or CRLF, the last
// one perhaps by nothing. Blank lines are skipped, a byte order mark at the start is ignored.
// A bad line spoils no other: values and problems are both collected, with their line numbers.

import { placeIn, tryDecodeUtf8, tryParseJson } from './json.ts'
import type { ByteSource } from './source.ts'

/** A value and the line it stands in, counted from 1. */
export interface JsonRow {
  readonly line: number
  readonly value: unknown
}

export interface JsonLineProblem {
  readonly line: number
  readonly reason: string
}

export interface JsonLines {
  readonly rows: JsonRow[]
  readonly problems: JsonLineProblem[]
}

const LF = 10

/** Bytes read at once from a source. */
const PIECE = 1_048_576

function parseLine(bytes: Uint8Array, line: number): JsonRow | JsonLineProblem | undefined {
  const decoded = tryDecodeUtf8(bytes)
  if ('position' in decoded) {
    return { line, reason: `not UTF-8 at byte ${decoded.position + 1} of the line` }
  }
  const text = line === 1 ? decoded.text.replace(/^\ufeff/, '') : decoded.text
  if (/^[ \t\r]*$/.test(text)) {
    return undefined
  }
  const result = tryParseJson(text)
  if ('value' in result) {
    return { line, value: result.value }
  }
  const { position, reason } = result.problem
  return {
    line,
    reason: `not JSON: ${placeIn(text, position).replace(/^line 1, /, '')}: ${reason}`,
  }
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) {
    return parts[0]
  }
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

/** The lines of a file that comes in pieces, without their line feeds. */
async function* linesOf(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let begun: Uint8Array[] = []
  for await (const piece of pieces) {
    let from = 0
    for (let end = piece.indexOf(LF); end >= 0; end = piece.indexOf(LF, from)) {
      yield concat([...begun, piece.subarray(from, end)])
      begun = []
      from = end + 1
    }
    // A copy: whoever sends the pieces may reuse their memory.
    begun.push(piece.slice(from))
  }
  yield concat([...begun, new Uint8Array(0)])
}

/**
 * The values and problems of JSON Lines, line by line, from bytes that come in pieces.
 *
 * @example
 * ```ts
 * import { streamJsonLines } from 'lowrank/io'
 *
 * async function* pieces() {
 *   yield new TextEncoder().encode('{"text": "a"}\n{"te')
 *   yield new TextEncoder().encode('xt": "b"}\n')
 * }
 * const lines: number[] = []
 * for await (const row of streamJsonLines(pieces())) lines.push(row.line)
 * console.log(lines) // [1, 2]
 * ```
 */
export async function* streamJsonLines(
  pieces: AsyncIterable<Uint8Array>,
): AsyncGenerator<JsonRow | JsonLineProblem> {
  let line = 0
  for await (const bytes of linesOf(pieces)) {
    line++
    const parsed = parseLine(bytes, line)
    if (parsed !== undefined) {
      yield parsed
    }
  }
}

function collect(lines: JsonLines, parsed: JsonRow | JsonLineProblem): void {
  if ('reason' in parsed) {
    lines.problems.push(parsed)
  } else {
    lines.rows.push(parsed)
  }
}

/**
 * All values and problems of JSON Lines.
 *
 * @example
 * ```ts
 * import { parseJsonLines } from 'lowrank/io'
 *
 * const { rows, problems } = parseJsonLines('{"text": "a"}\n\n{"text": }\n')
 * console.log(rows) // [{ line: 1, value: { text: 'a' } }]
 * console.log(problems) // [{ line: 3, reason: 'not JSON: column 10: expected a value, got "}"' }]
 * ```
 */
export function parseJsonLines(text: string | Uint8Array): JsonLines {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text
  const lines: JsonLines = { rows: [], problems: [] }
  let from = 0
  for (let line = 1; from < bytes.length; line++) {
    const found = bytes.indexOf(LF, from)
    const end = found < 0 ? bytes.length : found
    const parsed = parseLine(bytes.subarray(from, end), line)
    if (parsed !== undefined) {
      collect(lines, parsed)
    }
    from = end + 1
  }
  return lines
}

/** The bytes of a file of a source, a megabyte at a time. */
async function* piecesFrom(source: ByteSource, name: string): AsyncGenerator<Uint8Array> {
  const size = await source.size(name)
  for (let start = 0; start < size; start += PIECE) {
    yield await source.read(name, start, Math.min(start + PIECE, size))
  }
}

/**
 * All values and problems of a file of JSON Lines, read a megabyte at a time.
 *
 * Throws `file` if it is missing.
 *
 * @example
 * ```ts
 * import { memoryDirectory, readJsonLines } from 'lowrank/io'
 *
 * const data = memoryDirectory({ 'train.jsonl': '{"text": "a"}\n' })
 * console.log((await readJsonLines(data, 'train.jsonl')).rows.length) // 1
 * ```
 */
export async function readJsonLines(source: ByteSource, name: string): Promise<JsonLines> {
  const lines: JsonLines = { rows: [], problems: [] }
  for await (const parsed of streamJsonLines(piecesFrom(source, name))) {
    collect(lines, parsed)
  }
  return lines
}

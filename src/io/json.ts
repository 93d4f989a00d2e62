// JSON files: strict UTF-8 and JSON, with the place of a mistake by line and column. JSON.parse
// makes the value; what it refuses is explained by our own parser.

import { LowrankError } from '../core/errors.ts'
import { type JsonProblem, parseJsonTree } from './json-tree.ts'

/** The value of a JSON text, or what is wrong with it and where. */
export function tryParseJson(text: string): { value: unknown } | { problem: JsonProblem } {
  try {
    return { value: JSON.parse(text) }
  } catch {
    const result = parseJsonTree(text)
    const problem = { position: 0, reason: 'not JSON' }
    return 'problem' in result ? result : { problem }
  }
}

/** The text of UTF-8 bytes, or the index of the first byte that is not UTF-8. */
export function tryDecodeUtf8(bytes: Uint8Array): { text: string } | { position: number } {
  try {
    return { text: new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes) }
  } catch {
    return { position: firstBadByte(bytes) }
  }
}

/** Bisection: a prefix is bad if it fails even when more bytes may follow. */
function firstBadByte(bytes: Uint8Array): number {
  let good = 0
  let bad = bytes.length + 1
  while (bad - good > 1) {
    const middle = Math.floor((good + bad) / 2)
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, middle), { stream: true })
      good = middle
    } catch {
      bad = middle
    }
  }
  return good
}

/** `line L, column C` of a character, both from 1. */
export function placeIn(text: string, position: number): string {
  const before = text.slice(0, position).split('\n')
  return `line ${before.length}, column ${before[before.length - 1].length + 1}`
}

/**
 * The value of a JSON file's bytes (UTF-8, a byte order mark allowed).
 *
 * Throws `file` with `where` and the line and column of the mistake.
 *
 * @example
 * ```ts
 * import { parseJson } from 'lowrank/io'
 *
 * const config = parseJson(new TextEncoder().encode('{"r": 8}'), 'adapter_config.json')
 * console.log(config) // { r: 8 }
 * ```
 */
export function parseJson(bytes: Uint8Array, where: string): unknown {
  const decoded = tryDecodeUtf8(bytes)
  if ('position' in decoded) {
    throw new LowrankError(
      'file',
      `${where}: expected UTF-8, got something else at byte ${decoded.position}`,
    )
  }
  const text = decoded.text.replace(/^\ufeff/, '')
  const result = tryParseJson(text)
  if ('problem' in result) {
    const { position, reason } = result.problem
    throw new LowrankError('file', `${where}: not JSON: ${placeIn(text, position)}: ${reason}`)
  }
  return result.value
}

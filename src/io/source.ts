// Named byte files, wherever they are: what reading a model and writing an adapter need, and no
// more. A source is read by ranges, so that one tensor of a large file costs one tensor. A sink
// takes a set of files as a whole: after a failure, or a kill, either all of them are there or
// the place is as it was.

import { LowrankError } from '../core/errors.ts'
import { parseJson } from './json.ts'

/** What a file is written from: its bytes, its text (as UTF-8), or its bytes piece by piece. */
export type FileContent = Uint8Array | string | AsyncIterable<Uint8Array>

/** Files that can be read, also in part. */
export interface ByteSource {
  /** Where the files are, for messages: a path or a URL. */
  readonly label: string
  /** Whether there is a file of this name. */
  has(name: string): Promise<boolean>
  /** The size of a file in bytes. */
  size(name: string): Promise<number>
  /** Bytes `start` up to, but without, `end` of a file: a fresh array, the caller's own. */
  read(name: string, start?: number, end?: number): Promise<Uint8Array>
  /** The names of all files, sorted; none if the place does not exist. */
  list(): Promise<string[]>
}

export interface WriteOptions {
  /** Replaces files of the same names; without it anything that is there already is an error. */
  readonly overwrite?: boolean
  /** With `overwrite`: which of the other files that are there go away (shards of before). */
  readonly obsolete?: (name: string) => boolean
}

/** A place that files can be written to. */
export interface ByteSink {
  readonly label: string
  /** Throws what `writeAll` would throw for these options, before there is anything to write. */
  checkWritable(options?: WriteOptions): Promise<void>
  /** Writes a set of files: all of them, or nothing. */
  writeAll(files: ReadonlyMap<string, FileContent>, options?: WriteOptions): Promise<void>
  /** Writes or replaces one file: whole, or not at all. */
  write(name: string, content: FileContent): Promise<void>
}

/** A place for files that can be both read and written. */
export interface Directory extends ByteSource, ByteSink {}

/** `label/name`, for messages. */
export function locate(place: { readonly label: string }, name: string): string {
  return `${place.label.replace(/\/+$/, '')}/${name}`
}

/**
 * Refuses a name that would leave its directory; names come out of files, too. Parts are
 * separated by `/`.
 */
export function checkName(place: { readonly label: string }, name: string): void {
  const parts = name.split('/')
  const strange = /[\\:\0]/.test(name)
  if (strange || parts.some(part => part === '' || part === '.' || part === '..')) {
    throw new LowrankError(
      'file',
      `${place.label}: expected a plain file name inside the directory, got ${JSON.stringify(name)}`,
    )
  }
}

/** The error for a file that is not there; it says what is, where that can be known. */
export async function missingFile(source: ByteSource, name: string): Promise<LowrankError> {
  const names = await source.list().catch(() => undefined)
  const shown = names?.slice(0, 8).join(', ')
  const more = names !== undefined && names.length > 8 ? ` and ${names.length - 8} more` : ''
  const present = names?.length === 0 ? ' (there are no files)' : ` (there are ${shown}${more})`
  return new LowrankError(
    'file',
    `${source.label}: expected a file "${name}", got none${names === undefined ? '' : present}`,
  )
}

/** Refuses a range that does not lie within a file of `size` bytes. */
export function checkRange(where: string, size: number, start: number, end: number): void {
  const whole = Number.isInteger(start) && Number.isInteger(end)
  if (!whole || start < 0 || end < start || end > size) {
    throw new LowrankError(
      'file',
      `${where}: expected bytes ${start} to ${end}, got a file of ${size} bytes`,
    )
  }
}

/** Refuses to write over what is there, unless that was asked for. */
export function refuseOccupied(label: string, occupants: readonly string[]): void {
  const shown = occupants.slice(0, 3).join(', ') + (occupants.length > 3 ? ', …' : '')
  throw new LowrankError(
    'file',
    `${label}: expected a new or empty directory, got one with ${shown} (overwrite it, or choose another)`,
  )
}

/** The pieces of a file's content, none of them empty. */
export async function* piecesOf(content: FileContent): AsyncGenerator<Uint8Array> {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  for await (const piece of bytes instanceof Uint8Array ? [bytes] : bytes) {
    if (piece.length > 0) {
      yield piece
    }
  }
}

/**
 * The value of a JSON file.
 *
 * Throws `file` if it is missing, not UTF-8 or not JSON, with line and column.
 *
 * @example
 * ```ts
 * import { memoryDirectory, readJson } from 'lowrank/io'
 *
 * const files = memoryDirectory({ 'config.json': '{"model_type": "llama"}' })
 * console.log(await readJson(files, 'config.json')) // { model_type: 'llama' }
 * ```
 */
export async function readJson(source: ByteSource, name: string): Promise<unknown> {
  return parseJson(await source.read(name), locate(source, name))
}

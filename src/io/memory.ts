// A directory in memory: for tests, for bytes that came from elsewhere (uploads, IndexedDB), and
// for runtimes without files.

import {
  checkName,
  checkRange,
  type Directory,
  type FileContent,
  locate,
  missingFile,
  piecesOf,
  refuseOccupied,
  type WriteOptions,
} from './source.ts'

async function collect(content: FileContent): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of piecesOf(content)) {
    pieces.push(piece.slice())
    length += piece.length
  }
  const bytes = new Uint8Array(length)
  let at = 0
  for (const piece of pieces) {
    bytes.set(piece, at)
    at += piece.length
  }
  return bytes
}

class MemoryDirectory implements Directory {
  readonly label: string
  #files = new Map<string, Uint8Array>()

  constructor(files: Readonly<Record<string, Uint8Array | string>>, label: string) {
    this.label = label
    for (const [name, content] of Object.entries(files)) {
      checkName(this, name)
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
      this.#files.set(name, bytes)
    }
  }

  async #bytes(name: string): Promise<Uint8Array> {
    checkName(this, name)
    const bytes = this.#files.get(name)
    if (bytes === undefined) {
      throw await missingFile(this, name)
    }
    return bytes
  }

  async has(name: string): Promise<boolean> {
    return this.#files.has(name)
  }

  async size(name: string): Promise<number> {
    return (await this.#bytes(name)).length
  }

  async read(name: string, start: number = 0, end?: number): Promise<Uint8Array> {
    const bytes = await this.#bytes(name)
    checkRange(locate(this, name), bytes.length, start, end ?? bytes.length)
    return new Uint8Array(bytes.subarray(start, end))
  }

  async list(): Promise<string[]> {
    return [...this.#files.keys()].sort()
  }

  async checkWritable(options: WriteOptions = {}): Promise<void> {
    if (this.#files.size > 0 && !options.overwrite) {
      refuseOccupied(this.label, await this.list())
    }
  }

  async writeAll(
    files: ReadonlyMap<string, FileContent>,
    options: WriteOptions = {},
  ): Promise<void> {
    await this.checkWritable(options)
    const written = new Map<string, Uint8Array>()
    for (const [name, content] of files) {
      checkName(this, name)
      written.set(name, await collect(content))
    }
    await this.checkWritable(options)
    const kept = [...this.#files].filter(([name]) => !options.obsolete?.(name))
    this.#files = new Map([...kept, ...written])
  }

  async write(name: string, content: FileContent): Promise<void> {
    checkName(this, name)
    this.#files.set(name, await collect(content))
  }
}

/**
 * A directory in memory, empty or with these files.
 *
 * Given arrays are not copied; what is read from it is.
 *
 * @example
 * ```ts
 * import { memoryDirectory } from 'lowrank/io'
 *
 * const files = memoryDirectory({ 'note.txt': 'hello' })
 * console.log(await files.size('note.txt')) // 5
 * ```
 */
export function memoryDirectory(
  files: Readonly<Record<string, Uint8Array | string>> = {},
  label: string = 'memory',
): Directory {
  return new MemoryDirectory(files, label)
}

// A directory of the file system, as lowrank reads models from it and writes adapters to it: reads
// by ranges, writes that are whole or not at all (staging.ts).

import type { Stats } from 'node:fs'
import { type FileHandle, open, readdir, realpath, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { LowrankError } from '../core/errors.ts'
import {
  checkName,
  checkRange,
  type Directory,
  type FileContent,
  locate,
  missingFile,
  refuseOccupied,
  type WriteOptions,
} from '../io/source.ts'
import { checkPlace, replaceDirectory, replaceFile, restore, sweep } from './staging.ts'

/** Node reads less than 2 GiB at once. */
const LARGEST_READ = 0x4000_0000

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code

/** What is at a path, or nothing. */
async function status(path: string): Promise<Stats | undefined> {
  return stat(path).catch(error => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') {
      return undefined
    }
    throw error
  })
}

async function readFully(handle: FileHandle, where: string, bytes: Uint8Array, start: number) {
  let done = 0
  while (done < bytes.length) {
    const length = Math.min(bytes.length - done, LARGEST_READ)
    const { bytesRead } = await handle.read(bytes, done, length, start + done)
    if (bytesRead === 0) {
      const got = `${done} bytes from ${start}`
      throw new LowrankError('file', `${where}: expected ${bytes.length} bytes, got ${got}`)
    }
    done += bytesRead
  }
}

class NodeDirectory implements Directory {
  readonly label: string
  readonly #path: string

  constructor(path: string | URL) {
    const text = path instanceof URL ? fileURLToPath(path) : path
    this.label = text
    this.#path = resolve(text)
  }

  /** Every failure of the file system as one that names the place. */
  async #guarded<T>(name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof LowrankError || codeOf(error) === undefined) {
        throw error
      }
      const where = name === '' ? this.label : locate(this, name)
      // `EACCES: permission denied, mkdtemp '…'`: what was tried on the way says little.
      const reason = (error as Error).message.split(', ')[0]
      throw new LowrankError('file', `${where}: ${reason}`, { cause: error })
    }
  }

  /** What is at the directory's own path, once an interrupted replacement is undone. */
  async #self(): Promise<Stats | undefined> {
    const found = await status(this.#path)
    return found === undefined && (await restore(this.#path)) ? status(this.#path) : found
  }

  async #file(name: string): Promise<Stats | undefined> {
    checkName(this, name)
    const path = join(this.#path, name)
    let found = await status(path)
    if (found === undefined && (await this.#self()) !== undefined) {
      found = await status(path)
    }
    return found?.isFile() ? found : undefined
  }

  async #known(name: string): Promise<Stats> {
    const found = await this.#file(name)
    if (found !== undefined) {
      return found
    }
    if ((await this.#self()) === undefined) {
      throw new LowrankError(
        'file',
        `${this.label}: expected a directory, got nothing at this path`,
      )
    }
    throw await missingFile(this, name)
  }

  has(name: string): Promise<boolean> {
    return this.#guarded(name, async () => (await this.#file(name)) !== undefined)
  }

  size(name: string): Promise<number> {
    return this.#guarded(name, async () => (await this.#known(name)).size)
  }

  read(name: string, start: number = 0, end?: number): Promise<Uint8Array> {
    return this.#guarded(name, async () => {
      const { size } = await this.#known(name)
      const where = locate(this, name)
      checkRange(where, size, start, end ?? size)
      const bytes = new Uint8Array((end ?? size) - start)
      const handle = await open(join(this.#path, name), 'r')
      try {
        await readFully(handle, where, bytes, start)
      } finally {
        await handle.close()
      }
      return bytes
    })
  }

  list(): Promise<string[]> {
    return this.#guarded('', async () => {
      const found = await this.#self()
      if (!found?.isDirectory()) {
        return []
      }
      const entries = await readdir(this.#path, { withFileTypes: true })
      const names: string[] = []
      for (const entry of entries) {
        const path = join(this.#path, entry.name)
        const linked = entry.isSymbolicLink() ? await status(path) : undefined
        if (entry.isFile() || linked?.isFile()) {
          names.push(entry.name)
        }
      }
      return names.sort()
    })
  }

  /** Everything in the directory that a new one would have to make room for. */
  async #occupants(): Promise<string[]> {
    const found = await this.#self()
    if (found !== undefined && !found.isDirectory()) {
      throw new LowrankError('file', `${this.label}: expected a directory, got a file`)
    }
    return found === undefined ? [] : (await readdir(this.#path)).sort()
  }

  /** A directory that the process stands in cannot be replaced under its feet. */
  async #refuseCurrent(target: string): Promise<void> {
    const below = relative(target, await realpath(process.cwd()))
    const outside = below === '..' || below.startsWith(`..${sep}`) || isAbsolute(below)
    if (dirname(target) === target || !outside) {
      throw new LowrankError(
        'file',
        `${this.label}: expected a directory of its own, got the current one or one above it ` +
          '(choose a directory inside it)',
      )
    }
  }

  /** The path to replace, and whether something is there; throws if it must stay. */
  async #prepare(options: WriteOptions): Promise<{ target: string; occupied: boolean }> {
    const occupants = await this.#occupants()
    if (occupants.length > 0 && !options.overwrite) {
      refuseOccupied(this.label, occupants)
    }
    // A link stays a link: what it leads to is replaced.
    const target = await realpath(this.#path).catch(() => this.#path)
    await this.#refuseCurrent(target)
    await checkPlace(this.label, target)
    return { target, occupied: occupants.length > 0 }
  }

  checkWritable(options: WriteOptions = {}): Promise<void> {
    return this.#guarded('', async () => {
      await this.#prepare(options)
    })
  }

  writeAll(files: ReadonlyMap<string, FileContent>, options: WriteOptions = {}): Promise<void> {
    return this.#guarded('', async () => {
      for (const name of files.keys()) {
        checkName(this, name)
      }
      const { target, occupied } = await this.#prepare(options)
      await replaceDirectory(target, files, occupied, options.obsolete ?? (() => false))
      await sweep(target)
    })
  }

  write(name: string, content: FileContent): Promise<void> {
    return this.#guarded(name, async () => {
      checkName(this, name)
      await this.#self()
      const path = join(this.#path, name)
      await replaceFile(path, content)
      await sweep(path)
    })
  }
}

/**
 * A directory of the file system: for reading a model, or for writing one. It need not exist yet.
 *
 * Sets of files are written as a whole: a process that is killed leaves the directory as it was.
 * Throws `file`, naming the path, for what is missing or in the way.
 *
 * @example
 * ```ts
 * import { mkdtempSync } from 'node:fs'
 * import { tmpdir } from 'node:os'
 * import { directory } from 'lowrank/node'
 *
 * const adapter = directory(`${mkdtempSync(`${tmpdir()}/lowrank-`)}/adapter`)
 * await adapter.writeAll(new Map([['adapter_config.json', '{"r": 8}']]))
 * console.log(await adapter.list()) // ['adapter_config.json']
 * ```
 */
export function directory(path: string | URL): Directory {
  return new NodeDirectory(path)
}

// Writing a directory so that it is never seen half-written: the new one is built beside the old
// one in a hidden directory, forced to the disk, and renamed into place. An old one is renamed
// into a hidden directory first; a process killed between the two renames leaves nothing under
// the name itself, and the next use puts the old one back. Hidden names tell the machine, process
// and thread that made them: what the dead left behind is removed, what the living need is not.
// Source: rename(2) replaces atomically; fsync(2) of a directory keeps its names.

import { constants } from 'node:fs'
import {
  access,
  chmod,
  copyFile,
  link,
  mkdir,
  mkdtemp,
  open,
  readdir,
  rename,
  rm,
  rmdir,
  stat,
} from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import process from 'node:process'
import { threadId } from 'node:worker_threads'
import { LowrankError } from '../core/errors.ts'
import { hashName } from '../core/rng.ts'
import { type FileContent, piecesOf } from '../io/source.ts'

type Purpose = 'new' | 'old'

/** The hidden directories that this thread is using. */
const inUse = new Set<string>()

/** What a hidden directory holds: the files to be, or those that were. */
const CONTENT = 'content'

/** `.NAME.new-MACHINE-`, to which process, thread and a unique ending are added. */
function hiddenStart(target: string, purpose: Purpose): string {
  const machine = hashName(hostname()).toString(16)
  return `.${basename(target)}.${purpose}-${machine}-`
}

async function makeHidden(target: string, purpose: Purpose): Promise<string> {
  const name = `${hiddenStart(target, purpose)}${process.pid}-${threadId}-`
  const hidden = await mkdtemp(join(dirname(target), name))
  inUse.add(hidden)
  return hidden
}

async function removeHidden(hidden: string): Promise<void> {
  await rm(hidden, { recursive: true, force: true }).catch(() => undefined)
  inUse.delete(hidden)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, but belongs to someone else.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Whether the maker of a hidden directory is gone. */
function isAbandoned(path: string, pid: number, thread: number): boolean {
  if (pid !== process.pid) {
    return pid > 0 && !isAlive(pid)
  }
  return thread === threadId && !inUse.has(path)
}

/** What the dead left beside the target. */
async function leftovers(target: string, purpose: Purpose): Promise<string[]> {
  const start = hiddenStart(target, purpose)
  const names = await readdir(dirname(target)).catch(() => [])
  return names
    .filter(name => name.startsWith(start))
    .filter(name => {
      const [pid, thread] = name.slice(start.length).split('-').map(Number)
      return isAbandoned(join(dirname(target), name), pid, thread)
    })
    .map(name => join(dirname(target), name))
}

/** Puts back the directory that a killed process had renamed away and not yet replaced. */
export async function restore(target: string): Promise<boolean> {
  for (const hidden of await leftovers(target, 'old')) {
    // Where that is not allowed, the directory stays missing, and is reported so.
    const restored = await rename(join(hidden, CONTENT), target).then(
      () => true,
      () => false,
    )
    if (restored) {
      await removeHidden(hidden)
      return true
    }
  }
  return false
}

/** Removes what the dead left beside a target that is there again. */
export async function sweep(target: string): Promise<void> {
  for (const hidden of await leftovers(target, 'new')) {
    await removeHidden(hidden)
  }
  for (const hidden of await leftovers(target, 'old')) {
    await removeHidden(hidden)
  }
}

/** Forces a file or directory to the disk. */
async function sync(path: string): Promise<void> {
  // Windows cannot open a directory, and has no need to.
  const handle = await open(path, 'r').catch(() => undefined)
  await handle?.sync().catch(() => undefined)
  await handle?.close()
}

/** Writes one file and forces it to the disk. */
async function writeSynced(path: string, content: FileContent): Promise<void> {
  const handle = await open(path, 'wx')
  try {
    for await (const piece of piecesOf(content)) {
      let written = 0
      while (written < piece.length) {
        written += (await handle.write(piece, written)).bytesWritten
      }
    }
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** A second name for a file, without a copy of its bytes where the file system can. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(() => copyFile(from, to, constants.COPYFILE_FICLONE))
}

/** Brings into `staged` what `target` has, less the files that `drop` names. */
async function keepOthers(
  target: string,
  staged: string,
  drop: (name: string) => boolean,
  prefix: string = '',
): Promise<void> {
  for (const entry of await readdir(join(target, prefix), { withFileTypes: true })) {
    const name = prefix + entry.name
    if (entry.isDirectory()) {
      await mkdir(join(staged, name), { recursive: true })
      await keepOthers(target, staged, drop, `${name}/`)
    } else if (!drop(name)) {
      await linkOrCopy(join(target, name), join(staged, name))
    }
  }
}

/** Makes the parent directories, and gives a way to take back those that were made. */
async function makeParents(path: string): Promise<() => Promise<void>> {
  const parent = dirname(path)
  const first = await mkdir(parent, { recursive: true })
  return async () => {
    let made = parent
    while (first !== undefined && made.length >= first.length) {
      await rmdir(made).catch(() => undefined)
      made = dirname(made)
    }
  }
}

/** Renames the staged directory into place, an old one out of the way first. */
export async function swapIn(staged: string, target: string, occupied: boolean): Promise<void> {
  if (!occupied) {
    // An empty directory may be in the way, which not every system replaces.
    await rmdir(target).catch(() => undefined)
    await rename(staged, target)
    return
  }
  const hidden = await makeHidden(target, 'old')
  try {
    await rename(target, join(hidden, CONTENT))
    await rename(staged, target).catch(async error => {
      await rename(join(hidden, CONTENT), target)
      throw error
    })
  } catch (error) {
    // Not removed with what may still be in it: it can be the only copy.
    await rmdir(hidden).catch(() => undefined)
    inUse.delete(hidden)
    throw error
  }
  await removeHidden(hidden)
}

/** Runs `work` with a path beside `target`, whose parents exist; leaves no trace if it fails. */
async function staging(target: string, work: (staged: string) => Promise<void>): Promise<void> {
  const unmake = await makeParents(target)
  let hidden: string | undefined
  let done = false
  try {
    hidden = await makeHidden(target, 'new')
    await work(join(hidden, CONTENT))
    await sync(dirname(target))
    done = true
  } finally {
    if (hidden !== undefined) {
      await removeHidden(hidden)
    }
    if (!done) {
      await unmake()
    }
  }
}

/**
 * Makes `target` a directory of these files, all at once. With `occupied`, its other files stay,
 * less those that `obsolete` names.
 */
export function replaceDirectory(
  target: string,
  files: ReadonlyMap<string, FileContent>,
  occupied: boolean,
  obsolete: (name: string) => boolean,
): Promise<void> {
  return staging(target, async staged => {
    await mkdir(staged)
    for (const [name, content] of files) {
      await mkdir(dirname(join(staged, name)), { recursive: true })
      await writeSynced(join(staged, name), content)
    }
    if (occupied) {
      await chmod(staged, (await stat(target)).mode)
      await keepOthers(target, staged, name => files.has(name) || obsolete(name))
    }
    await sync(staged)
    await swapIn(staged, target, occupied)
  })
}

/** Writes one file beside its final name, and renames it over that. */
export function replaceFile(path: string, content: FileContent): Promise<void> {
  return staging(path, async staged => {
    await writeSynced(staged, content)
    await rename(staged, path)
  })
}

/**
 * Refuses a target that could not be renamed into place: its parent (or the nearest that exists)
 * must be writable, and itself no mount point.
 */
export async function checkPlace(label: string, target: string): Promise<void> {
  let parent = dirname(target)
  let above = await stat(parent).catch(() => undefined)
  while (above === undefined && dirname(parent) !== parent) {
    parent = dirname(parent)
    above = await stat(parent).catch(() => undefined)
  }
  const itself = await stat(target).catch(() => undefined)
  const mounted = itself !== undefined && itself.dev !== above?.dev
  const writable = await access(parent, constants.W_OK | constants.X_OK).then(
    () => above?.isDirectory() === true,
    () => false,
  )
  if (mounted || !writable) {
    const got = mounted ? 'a mount point' : `${parent}, which cannot be written`
    throw new LowrankError(
      'file',
      `${label}: expected a writable directory above it, got ${got} (choose another place)`,
    )
  }
}

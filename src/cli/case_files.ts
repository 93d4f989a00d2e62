// Where `lowrank verify` finds cases: a root of families, or the folder of one family, whose
// neighbours may hold models that its cases point to.

import { readdir } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'
import { casePlaces } from '../conformance/index.ts'
import { LowrankError } from '../core/errors.ts'
import type { ByteSource } from '../io/index.ts'
import { directory } from '../node/index.ts'

export interface CaseFiles {
  readonly root: ByteSource
  /** The files to look for cases among, below the root. */
  readonly names: readonly string[]
}

/** JSON of a root that is no case. */
const OTHER_JSON = /\/(manifest|fingerprint|package|package-lock)\.json$/

async function filesBelow(path: string): Promise<string[]> {
  try {
    const entries = await readdir(path, { recursive: true })
    return entries.map(name => name.replaceAll('\\', '/'))
  } catch (cause) {
    const reason = (cause as Error).message.split(', ')[0]
    throw new LowrankError('file', `verify: ${path}: cannot be read: ${reason}`, { cause })
  }
}

/** The cases of a directory. Throws `file` if there are none. */
export async function caseFiles(path: string): Promise<CaseFiles> {
  const whole = resolve(path)
  const names = await filesBelow(whole)
  const family = basename(whole)
  const inFamily = names.map(name => `${family}/${name}`)
  // A family's cases lie directly in it, a root's one level deeper.
  const own = casePlaces(inFamily).filter(({ path }) => !OTHER_JSON.test(path))
  if (own.length > 0) {
    return { root: directory(dirname(whole)), names: inFamily }
  }
  if (casePlaces(names).length === 0) {
    throw new LowrankError(
      'file',
      `verify: ${path}: expected cases (FAMILY/NAME.json), got none among ${names.length} files`,
    )
  }
  return { root: directory(whole), names }
}

// `lowrank fingerprint`: hashes of a fixed small job, one line per stage; compared with a known
// answer where one is given, naming the kernels that differ.

import { differingStages, type FingerprintStage, fingerprint } from '../conformance/index.ts'
import { memory } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { readJson } from '../io/index.ts'
import { directory } from '../node/index.ts'

export interface FingerprintArguments {
  readonly seed: number
  readonly expect?: string
  readonly json?: boolean
}

/** What a file of a known answer holds, and what `--json` prints. */
export interface KnownFingerprint {
  readonly seed: number
  readonly backend: string
  readonly stages: readonly FingerprintStage[]
}

function isKnown(value: unknown): value is KnownFingerprint {
  const known = value as Partial<KnownFingerprint> | null
  return typeof known?.seed === 'number' && Array.isArray(known.stages)
}

async function readKnown(path: string): Promise<KnownFingerprint> {
  const [, folder, name] = /^(?:(.*)[/\\])?([^/\\]+)$/.exec(path) ?? ['', '.', path]
  const value = await readJson(directory(folder ?? '.'), name)
  if (!isKnown(value)) {
    throw new LowrankError('file', `${path}: expected an object with seed and stages`)
  }
  return value
}

async function compareWith(path: string, found: KnownFingerprint): Promise<void> {
  const known = await readKnown(path)
  if (known.seed !== found.seed) {
    throw new LowrankError(
      'argument',
      `fingerprint: ${path} is of seed ${known.seed}, got seed ${found.seed}`,
    )
  }
  const differing = differingStages(found.stages, known.stages)
  if (differing.length > 0) {
    throw new LowrankError(
      'numeric',
      `fingerprint: ${differing.length} of ${known.stages.length} stages differ from ${path}, ` +
        `first ${differing[0]}: ${differing.join(', ')}`,
    )
  }
}

export async function runFingerprint(args: FingerprintArguments): Promise<void> {
  const stages = await fingerprint({ seed: args.seed })
  const { backend } = memory()
  const found = { seed: args.seed, backend, stages }
  if (args.json) {
    console.log(JSON.stringify(found, null, 1))
  } else {
    for (const { name, hash } of stages) {
      console.log(`${hash}  ${name}`)
    }
  }
  if (args.expect !== undefined) {
    await compareWith(args.expect, found)
  }
}

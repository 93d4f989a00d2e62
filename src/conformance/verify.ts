// Runs cases: an implementation answers each, the rules of the case's kind compare. A case of an
// unknown kind, one that compares nothing, and one that throws are failures.

import { type Backend, setBackend } from '../core/backend.ts'
import type { ByteSource } from '../io/index.ts'
import type { Case } from './case.ts'
import type { Check } from './compare.ts'
import { type CasePlace, casePlaces, readPlace } from './enumerate.ts'
import { layerHint } from './hints.ts'
import { type Answer, type CaseKind, compareOutputs } from './kind.ts'
import { KINDS } from './kinds.ts'

/** What is put to the test: this library on a backend, or another program. */
export interface Implementation {
  readonly name: string
  /** Which of a case's tolerances applies. */
  readonly precision: 32 | 64
  answer(example: Case, kind: CaseKind): Promise<Answer>
}

export interface CaseResult {
  readonly name: string
  readonly family: string
  readonly ok: boolean
  /** The check that is furthest beyond, or nearest to, its tolerance. */
  readonly worst: Check
  readonly checks: readonly Check[]
  /** Set where the implementation does not know this kind of case. */
  readonly skipped?: boolean
}

/** Thrown by an implementation that does not know this kind of case. */
export class NotImplemented extends Error {}

/** This library on a backend. */
export function library(backend: Backend): Implementation {
  const answer = async (example: Case, kind: CaseKind): Promise<Answer> => {
    setBackend(backend)
    try {
      return await kind.run(example, backend)
    } finally {
      setBackend(undefined)
    }
  }
  return { name: backend.name, precision: backend.precision, answer }
}

export function passes({ error, tolerance }: Check): boolean {
  return error <= tolerance
}

/** How much of its tolerance a check uses; above 1 it fails. */
function share(check: Check): number {
  if (!passes(check)) {
    return Number.isFinite(check.error / check.tolerance)
      ? check.error / check.tolerance
      : Number.POSITIVE_INFINITY
  }
  return check.tolerance > 0 ? check.error / check.tolerance : 0
}

function failure(what: string, note: string): Check {
  return { what, error: Number.POSITIVE_INFINITY, tolerance: 0, note }
}

function resultOf(name: string, family: string, checks: readonly Check[]): CaseResult {
  const all = checks.length > 0 ? checks : [failure('case', 'nothing was compared')]
  const worst = all.reduce((a, b) => (share(b) > share(a) ? b : a))
  return { name, family, ok: all.every(passes), worst, checks: all }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : `${error}`)

/** The checks of one case. */
export async function checkCase(
  example: Case,
  implementation: Implementation,
): Promise<readonly Check[]> {
  const kind = KINDS[example.kind]
  if (!kind) {
    return [failure('case', `unknown kind ${JSON.stringify(example.kind)}`)]
  }
  try {
    const answer = await implementation.answer(example, kind)
    const compare = kind.compare ?? compareOutputs
    const checks = await compare(example, answer, answer.precision ?? implementation.precision)
    const hint = checks.every(passes) ? undefined : layerHint(example, answer)
    return hint === undefined ? checks : [failure('likely', hint), ...checks]
  } catch (error) {
    if (error instanceof NotImplemented) {
      throw error
    }
    return [failure('case', messageOf(error))]
  }
}

async function resultFor(example: Case, implementation: Implementation): Promise<CaseResult> {
  const { name, family } = example
  try {
    return resultOf(name, family, await checkCase(example, implementation))
  } catch (error) {
    const worst = failure('case', messageOf(error))
    return { name, family, ok: false, worst, checks: [worst], skipped: true }
  }
}

async function* casesAt(
  root: ByteSource,
  place: CasePlace,
): AsyncGenerator<Case | { readonly problem: string }> {
  try {
    yield* await readPlace(root, place)
  } catch (error) {
    yield { problem: messageOf(error) }
  }
}

/**
 * Runs every case below `root`, one after the other. `names` are the files to look among, as paths
 * below the root with `/` between their parts.
 *
 * @example
 * ```ts
 * import { library, verifyCases } from 'lowrank/conformance'
 * import { memoryDirectory } from 'lowrank/io'
 * import { reference } from 'lowrank/reference'
 *
 * const files = memoryDirectory({ 'ops/x.json': '{"kind": "unheard of"}' })
 * for await (const { name, ok } of verifyCases(files, ['ops/x.json'], library(reference()))) {
 *   console.log(name, ok) // ops/x false
 * }
 * ```
 */
export async function* verifyCases(
  root: ByteSource,
  names: readonly string[],
  implementation: Implementation,
): AsyncGenerator<CaseResult> {
  for (const place of casePlaces(names)) {
    for await (const example of casesAt(root, place)) {
      if ('problem' in example) {
        yield resultOf(place.path, place.family, [failure('case', example.problem)])
      } else {
        yield await resultFor(example, implementation)
      }
    }
  }
}

// `lowrank verify`: runs conformance cases on a backend, or puts them to another program. One line
// per case, a count per family, and at the end `N passed, N failed`.

import { reference } from '../backends/reference/index.ts'
import { wasm } from '../backends/wasm/index.ts'
import { webgpu } from '../backends/webgpu/index.ts'
import {
  type CaseResult,
  type Check,
  type Implementation,
  library,
  passes,
  verifyCases,
} from '../conformance/index.ts'
import type { Backend } from '../core/backend.ts'
import { LowrankError } from '../core/errors.ts'
import { caseFiles } from './case_files.ts'
import { foreign } from './foreign.ts'

export const VERIFY_BACKENDS: readonly string[] = ['reference', 'wasm', 'webgpu']

export interface VerifyArguments {
  readonly directory: string
  readonly backend: string
  readonly command?: string
  readonly json?: boolean
}

interface Counts {
  passed: number
  failed: number
  skipped: number
}

/** WebGPU for Node, where the npm package `webgpu` is installed; Deno has its own. */
async function installedGpu(): Promise<object | undefined> {
  const name = 'webgpu'
  try {
    const { create, globals } = await import(name)
    Object.assign(globalThis, globals)
    return create([])
  } catch {
    return undefined
  }
}

async function backendOf(name: string): Promise<Backend> {
  switch (name) {
    case 'reference':
      return reference()
    case 'webgpu':
      return webgpu({ gpu: await installedGpu() })
    default:
      return wasm()
  }
}

const number = (value: number): string => (value === 0 ? '0' : value.toPrecision(2))

function textOf({ what, error, tolerance, note }: Check): string {
  const why = note === undefined ? '' : ` (${note})`
  return Number.isFinite(error) || note === undefined
    ? `${what}: error ${number(error)}, tolerance ${number(tolerance)}${why}`
    : `${what}${why}`
}

/** The worst check of a case that passes; everything that is wrong with one that fails. */
function lineOf({ name, ok, worst, checks, skipped }: CaseResult): string {
  if (skipped) {
    return `skip  ${name}`
  }
  const wrong = checks.filter(check => !passes(check))
  const shown = ok ? [worst] : wrong.slice(0, 3)
  const more = wrong.length > 3 ? ` | and ${wrong.length - 3} more` : ''
  return `${ok ? 'ok   ' : 'FAIL '} ${name}  ${shown.map(textOf).join(' | ')}${more}`
}

function eventOf({ name, family, ok, checks, skipped }: CaseResult): object {
  return { event: 'case', name, family, ok, skipped, checks }
}

const zeros = (): Counts => ({ passed: 0, failed: 0, skipped: 0 })

function count(counts: Counts, { ok, skipped }: CaseResult): void {
  counts[skipped ? 'skipped' : ok ? 'passed' : 'failed']++
}

function print(args: VerifyArguments, event: object, text: string): void {
  console.log(args.json ? JSON.stringify(event) : text)
}

function summary({ passed, failed }: Counts): string {
  return `${passed} passed, ${failed} failed`
}

function printCounts(args: VerifyArguments, families: Map<string, Counts>, all: Counts): void {
  for (const [family, counts] of families) {
    const left = counts.skipped > 0 ? `, ${counts.skipped} skipped` : ''
    print(args, { event: 'family', family, ...counts }, `${family}: ${summary(counts)}${left}`)
  }
  print(args, { event: 'summary', ...all }, summary(all))
}

/** Runs the cases; the exit code is 1 if one failed. Throws `data` if none could be put to it. */
export async function runVerify(args: VerifyArguments): Promise<void> {
  const { root, names } = await caseFiles(args.directory)
  const { backend, command } = args
  const implementation: Implementation =
    command === undefined ? library(await backendOf(backend)) : foreign(command)
  const families = new Map<string, Counts>()
  const all = zeros()
  for await (const result of verifyCases(root, names, implementation)) {
    print(args, eventOf(result), lineOf(result))
    const counts = families.get(result.family) ?? zeros()
    families.set(result.family, counts)
    count(counts, result)
    count(all, result)
  }
  printCounts(args, families, all)
  if (all.passed + all.failed === 0) {
    throw new LowrankError('data', `verify: the command skipped all of ${all.skipped} cases`)
  }
  if (all.failed > 0) {
    process.exitCode = 1
  }
}

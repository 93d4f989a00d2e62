// Would the tests notice? Every fault of the list is planted by itself, and the test that the list
// names must fail: not because nothing ran, and not because the code no longer loads.
//
//   npm run mutations

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { FAULTS, type Fault } from './faults.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'lowrank-faults-'))

afterAll(() => {
  rmSync(scratch, { recursive: true })
})

interface Result {
  readonly fullName: string
  readonly status: string
}

/** What became of the tests of a file whose names contain `only`, with a fault planted or without. */
function resultsOf(file: string, only: string, fault?: string): Promise<Result[]> {
  const output = join(scratch, `${(fault ?? 'none').replace(/\W+/g, '-')}.json`)
  const pattern = only.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  const reporter = ['--reporter=json', `--outputFile=${output}`]
  const args = ['node_modules/vitest/vitest.mjs', 'run', file, '-t', pattern, ...reporter]
  const { LOWRANK_SLOW: _, LOWRANK_RESULTS: __, ...env } = process.env
  if (fault !== undefined) {
    env.LOWRANK_FAULT = fault
  }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, { cwd: root, env }, (_error, stdout, stderr) => {
      try {
        const { testResults } = JSON.parse(readFileSync(output, 'utf8'))
        resolve(testResults.flatMap((one: { assertionResults: Result[] }) => one.assertionResults))
      } catch (cause) {
        reject(new Error(`no results of ${file}: ${stdout}${stderr}`, { cause }))
      }
    })
  })
}

const ran = ({ status }: Result): boolean => status === 'passed' || status === 'failed'

describe('faults planted in the code of LoRA', () => {
  it('are at least 25, each with a name of its own', () => {
    const names = new Set(FAULTS.map(({ name }) => name))
    expect(names.size).toBe(FAULTS.length)
    expect(FAULTS.length).toBeGreaterThanOrEqual(25)
  })

  it.each(FAULTS)('$name: caught by "$test"', async ({ name, testFile, test }: Fault) => {
    const results = (await resultsOf(testFile, test, name)).filter(ran)
    expect(results.length, `tests of ${testFile} named "${test}"`).toBeGreaterThan(0)
    expect(results.some(({ status }) => status === 'failed')).toBe(true)
  })
})

describe('the same tests without a fault', () => {
  const files = [...new Set(FAULTS.map(({ testFile }) => testFile))]

  it.each(files)('pass: %s', async file => {
    const results = (await resultsOf(file, '')).filter(ran)
    expect(results.length).toBeGreaterThan(0)
    expect(results.filter(({ status }) => status === 'failed')).toEqual([])
  })
})

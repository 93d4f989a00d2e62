// The packed and installed package in every runtime that is present: the same adapter bytes, losses,
// words and errors, everywhere. Prints a matrix.

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { browsers } from './browsers.ts'
import { consoles } from './consoles.ts'
import { installedProject, type Project } from './project.ts'
import type { Runtime, SuiteResult } from './runtime.ts'
import { servers } from './servers.ts'

const RUNTIMES: readonly Runtime[] = [...consoles, ...servers, ...browsers]
const COLUMNS = ['import', 'fine-tune', 'same bits', 'save and load', 'errors'] as const

const MISTAKES = { shape: 'shape', scope: 'scope', file: 'file' }

describe('the installed package', () => {
  let project: Project
  let want: SuiteResult
  const matrix = new Map<string, string[]>()

  beforeAll(async () => {
    project = installedProject()
    want = await RUNTIMES[0].run(project)
  })

  afterAll(() => {
    project?.remove()
    const lines = [...matrix].map(([name, cells]) => `| ${name} | ${cells.join(' | ')} |`)
    console.log([`| | ${COLUMNS.join(' | ')} |`, `|---|${':-:|'.repeat(5)}`, ...lines].join('\n'))
  })

  it('learns', () => {
    expect(want.adapter.length).toBeGreaterThan(1000)
    expect(want.losses.at(-1)).toBeLessThan(want.losses[0])
    expect(want.linear[2]).toBeLessThan(want.linear[0])
  })

  for (const runtime of RUNTIMES) {
    if (runtime.absent) {
      console.warn(`skipped: ${runtime.name} (${runtime.absent})`)
    }
    it.skipIf(runtime.absent)(`works the same in ${runtime.name}`, async () => {
      const cells = ['no', 'no', 'no', 'no', 'no']
      matrix.set(runtime.name, cells)
      const got = await runtime.run(project)
      cells[0] = 'yes'
      const { adapter, config, losses, linear, words, backend, reproducible } = got
      expect({ backend, reproducible }).toEqual({ backend: 'wasm', reproducible: true })
      expect(losses.length).toBe(want.losses.length)
      if (runtime.name.includes('threads')) {
        expect(got.workerRows).toBeGreaterThan(0)
      }
      cells[1] = 'yes'
      expect(adapter === want.adapter && config === want.config).toBe(true)
      expect({ losses, linear }).toEqual({ losses: want.losses, linear: want.linear })
      cells[2] = 'yes'
      expect(got.loadedSpeaksTheSame).toBe(true)
      expect(words).toEqual(want.words)
      cells[3] = 'yes'
      expect(got.errors).toEqual(MISTAKES)
      cells[4] = 'yes'
    })
  }
})

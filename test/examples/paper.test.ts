// Runs of the paper's claims that are kept in a file: they come back, a line that was cut short does not,
// and what was kept for another recipe is not taken for this one.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tensor } from 'lowrank'
import { afterAll, expect, it } from 'vitest'
import { keepRun, keptRuns } from '../../examples/paper/kept.ts'
import { keyOf } from '../../examples/paper/runs.ts'

const work = mkdtempSync(join(tmpdir(), 'lowrank-paper-'))
afterAll(() => rmSync(work, { recursive: true, force: true }))

const file = join(work, 'runs.jsonl')
const amplification = { factor: 2, deltaNorm: 2, projectedNorm: 1, rank: 2 }
const layer = { path: 'a', A: tensor([1, 2, 3, 4, 5, 6], [2, 3]), amplification }
const run = { loss: 0.5, trainable: 6, layers: [layer] }

it('takes a last line that was cut short out of the file', async () => {
  writeFileSync(file, '')
  await keepRun(file, 'first', run)
  const first = readFileSync(file, 'utf8')
  await keepRun(file, 'second', run)
  expect([...keptRuns(file).keys()]).toEqual(['first', 'second'])
  writeFileSync(file, readFileSync(file, 'utf8').slice(0, first.length + 40))
  const runs = keptRuns(file)
  expect([...runs.keys()]).toEqual(['first'])
  expect(await runs.get('first')?.layers[0].A.data()).toEqual(new Float32Array([1, 2, 3, 4, 5, 6]))
  await keepRun(file, 'third', run)
  expect([...keptRuns(file).keys()]).toEqual(['first', 'third'])
})

it('knows no runs where there is no file', () => {
  expect(keptRuns(join(work, 'none')).size).toBe(0)
})

it('names weights, rank, seed, size, scale, rate and the model in the key', () => {
  const size = { seeds: 1, epochs: 2, examples: 3, heldOut: 4, ranks: [1] }
  expect(keyOf({ weights: ['q', 'v'], r: 8 }, 5, size)).toMatch(
    /^qv 8 5 \(α = 16, rate 0\.01, 2 × 3, 4, [0-9a-f]{12}\)$/,
  )
})

// The main job, as a user runs it: the demo reaches its result, its files are PEFT's, and PEFT and
// transformers agree with what lowrank computed from them.

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'lowrank-demo-'))
const tsx = join(root, 'node_modules/.bin/tsx')

// biome-ignore lint/suspicious/noExplicitAny: the figures that the demo prints
let figures: any

beforeAll(() => {
  const args = ['examples/house/demo.ts', '--json', '--out', join(work, 'house')]
  const printed = execFileSync(tsx, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 })
  figures = JSON.parse(printed.trim().split('\n').at(-1) as string)
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

describe('the demo', () => {
  it('reaches its result on commands that it has not seen', () => {
    expect(figures.after).toBeGreaterThanOrEqual(0.95)
    expect(figures.after_usual).toBeGreaterThanOrEqual(0.9)
    expect(figures.after_unseen_phrasing).toBeGreaterThanOrEqual(0.9)
    expect(figures.after_unseen_combination).toBeGreaterThanOrEqual(0.9)
  })

  it('is at least 30 points above both baselines', () => {
    expect(figures.after - figures.baseline_prompt).toBeGreaterThanOrEqual(0.3)
    expect(figures.after - figures.baseline_nearest).toBeGreaterThanOrEqual(0.3)
  })

  it('starts from a base that does its own task', () => {
    expect(figures.base_task_off).toBeGreaterThanOrEqual(0.9)
    expect(figures.base_off_identical).toBe(true)
  })

  it('trains at most 5 % of the parameters', () => {
    expect(figures.trainable / figures.total).toBeLessThanOrEqual(0.05)
  })

  it('writes exactly the files of PEFT', () => {
    expect(readdirSync(figures.adapter).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
    ])
  })
})

describe('PEFT and transformers', () => {
  it('agree with what lowrank wrote', () => {
    const python = process.env.LOWRANK_PYTHON ?? 'python3'
    const probe = spawnSync(python, ['-c', 'import torch, transformers, peft'])
    if (probe.status !== 0) {
      console.warn(`skipped: ${python} has no torch, transformers and peft`)
      return
    }
    const out = join(work, 'interop')
    const { model, adapter, held_out: data } = figures
    execFileSync(tsx, ['interop/write.ts', model, adapter, data, out], { cwd: root })
    const check = spawnSync(python, ['interop/peft_check.py', out], { cwd: root, encoding: 'utf8' })
    expect(check.status, `${check.stdout}\n${check.stderr}`).toBe(0)
  })
})

// `finetune --trace FILE` as a program: the table in what it prints, the events in the file, and a file that
// cannot be written refused before anything runs.

import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bundleCli } from '../support/bundle_cli.ts'

const model = fileURLToPath(new URL('../../examples/house/model', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'lowrank-trace-'))
const example = { prompt: 'Light the den', completion: '\n{"tool":"light","room":"den"}' }

interface Result {
  readonly code: unknown
  readonly stdout: string
  readonly stderr: string
}

function finetune(...args: string[]): Promise<Result> {
  const all = ['finetune', '--model', model, '--data', 'data.jsonl', '--out', 'adapter', ...args]
  return new Promise(resolve => {
    execFile(
      process.execPath,
      [join(work, 'cli/main.mjs'), ...all],
      { cwd: work },
      (error, ...out) => {
        resolve({ code: error ? error.code : 0, stdout: out[0], stderr: out[1] })
      },
    )
  })
}

beforeAll(async () => {
  await bundleCli(join(work, 'cli'))
  writeFileSync(join(work, 'data.jsonl'), `${JSON.stringify(example)}\n`)
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

it('writes where the time of the run went', async () => {
  const result = await finetune('--epochs', '1', '--samples', '0', '--trace', 'trace.json')
  expect(result.code, result.stderr).toBe(0)
  const { traceEvents } = JSON.parse(readFileSync(join(work, 'trace.json'), 'utf8'))
  const names = new Set(
    traceEvents.map(({ name, cat }: Record<string, string>) => `${cat} ${name}`),
  )
  const wanted = ['forward lora_linear', 'backward lora_linear', 'kernel matmul_nt']
  expect(wanted.filter(name => !names.has(name))).toEqual([])
  expect(result.stdout).toContain('linear_cross_entropy')
})

it('refuses a file that cannot be written before it trains', async () => {
  const result = await finetune('--out', 'other', '--trace', 'data.jsonl/trace.json')
  expect(result.code).not.toBe(0)
  expect(result.stderr).toContain('cannot be written')
  expect(existsSync(join(work, 'other'))).toBe(false)
})

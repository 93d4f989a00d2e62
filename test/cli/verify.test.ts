// `lowrank verify` as a program: what it prints, what it counts, what it ends with.

import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bundleCli } from '../support/bundle_cli.ts'

const golden = fileURLToPath(new URL('../golden', import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'lowrank-verify-'))
const count = readdirSync(join(golden, 'optim')).filter(name => name.endsWith('.json')).length

interface Result {
  readonly code: number
  readonly lines: string[]
  readonly stderr: string
}

function verify(...args: string[]): Promise<Result> {
  const cli = join(work, 'cli/main.mjs')
  return new Promise(resolve => {
    execFile(process.execPath, [cli, 'verify', ...args], (error, stdout, stderr) => {
      const code = error ? Number((error as { code?: unknown }).code ?? 1) : 0
      resolve({ code, lines: stdout.trim().split('\n'), stderr })
    })
  })
}

beforeAll(() => bundleCli(join(work, 'cli')))
afterAll(() => rmSync(work, { recursive: true, force: true }))

it.each(['reference', 'wasm'])('counts the cases of a family on %s', async backend => {
  const { code, lines } = await verify(join(golden, 'optim'), '--backend', backend)
  expect(lines.filter(line => line.startsWith('ok ')).length).toBe(count)
  expect(lines[0]).toMatch(/^ok {4}optim\/adafactor {2}p\d\.\S+: error \S+, tolerance \S+$/)
  expect(lines.slice(-2)).toEqual([`optim: ${count} passed, 0 failed`, `${count} passed, 0 failed`])
  expect(code).toBe(0)
})

it('finds the families of a root, and models that cases of another family point to', async () => {
  const folder = join(work, 'root')
  cpSync(join(golden, 'generate'), join(folder, 'generate'), { recursive: true })
  cpSync(join(golden, 'models/llama_list'), join(folder, 'models/llama_list'), { recursive: true })
  writeFileSync(join(folder, 'manifest.json'), '{}')
  const { lines } = await verify(folder)
  expect(lines).toContain('models: 1 passed, 0 failed')
  expect(lines.filter(line => line.startsWith('ok    generate/llama_list')).length).toBe(3)
})

it('fails a case of an unknown kind, and one that is no JSON', async () => {
  const folder = join(work, 'odd')
  mkdirSync(join(folder, 'ops'), { recursive: true })
  writeFileSync(join(folder, 'ops/strange.json'), '{"kind": "unheard of"}')
  writeFileSync(join(folder, 'ops/torn.json'), '{"kind": ')
  const { code, lines } = await verify(folder)
  expect(lines[0]).toBe('FAIL  ops/strange  case (unknown kind "ops/unheard of")')
  expect(lines[1]).toMatch(/^FAIL {2}ops\/torn\.json {2}case \(.*not JSON: line 1/)
  expect(lines.at(-1)).toBe('0 passed, 2 failed')
  expect(code).toBe(1)
})

it('refuses a directory without cases', async () => {
  const folder = join(work, 'empty')
  mkdirSync(folder)
  const { code, stderr } = await verify(folder)
  expect(stderr).toContain('expected cases (FAMILY/NAME.json), got none among 0 files')
  expect(code).toBe(1)
  expect((await verify(join(work, 'nowhere'))).stderr).toContain('cannot be read: ENOENT')
})

it('prints JSON lines on request', async () => {
  const { lines } = await verify(join(golden, 'optim'), '--json')
  const events = lines.map(line => JSON.parse(line))
  expect(events[0]).toMatchObject({ event: 'case', name: 'optim/adafactor', ok: true })
  expect(events.at(-1)).toEqual({ event: 'summary', passed: count, failed: 0, skipped: 0 })
})

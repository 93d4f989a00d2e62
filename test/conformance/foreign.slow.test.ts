// Another program under `lowrank verify --command`: the NumPy example passes every case it knows, the
// wrong one is caught with a word about its fault, and programs that break the protocol fail.

import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bundleCli } from '../support/bundle_cli.ts'

const at = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const work = mkdtempSync(join(tmpdir(), 'lowrank-foreign-'))
const count = readdirSync(at('test/golden/optim')).filter(name => name.endsWith('.json')).length

function hasNumPy(): boolean {
  try {
    execFileSync('python3', ['-c', 'import numpy'], { stdio: 'ignore' })
    return true
  } catch {
    console.warn('skipped: the NumPy example (python3 with numpy is absent)')
    return false
  }
}

interface Result {
  readonly code: number
  readonly lines: string[]
  readonly stderr: string
}

function verify(family: string, command: string): Promise<Result> {
  const args = [join(work, 'cli/main.mjs'), 'verify', at(family), '--command', command]
  return new Promise(resolve => {
    execFile(process.execPath, args, { cwd: at('') }, (error, stdout, stderr) => {
      const code = error ? Number((error as { code?: unknown }).code ?? 1) : 0
      resolve({ code, lines: stdout.trim().split('\n'), stderr })
    })
  })
}

/** A program of a few lines of shell. */
function program(name: string, text: string): string {
  const file = join(work, name)
  writeFileSync(file, `#!/bin/sh\n${text}\n`)
  chmodSync(file, 0o755)
  return file
}

beforeAll(() => bundleCli(join(work, 'cli')))
afterAll(() => rmSync(work, { recursive: true, force: true }))

describe.skipIf(!hasNumPy())('the NumPy example', () => {
  it('passes every case of a linear layer under LoRA, and skips the others', async () => {
    const { code, lines } = await verify(
      'test/golden/layers',
      'python3 conformance/examples/lora.py',
    )
    expect(lines.filter(line => line.startsWith('FAIL'))).toEqual([])
    expect(lines.filter(line => line.startsWith('ok ')).length).toBeGreaterThanOrEqual(15)
    expect(lines.at(-1)).toMatch(/^\d+ passed, 0 failed$/)
    expect(code).toBe(0)
  })

  it('draws the masks of the generator, and passes under them', async () => {
    const { code, lines } = await verify('conformance', 'python3 conformance/examples/lora.py')
    expect(lines.filter(line => line.startsWith('FAIL'))).toEqual([])
    const passed = lines.filter(line => line.startsWith('ok ')).join(' ')
    expect(passed).toContain('layers/dropout_linear')
    expect(passed).toContain('random/dropout_half')
    expect(passed).toContain('random/shuffle')
    expect(lines.at(-1)).toBe('10 passed, 0 failed')
    expect(code).toBe(0)
  })

  it('is caught under a mask, too', async () => {
    const { lines } = await verify('conformance/layers', 'python3 conformance/examples/wrong.py')
    const failed = lines.filter(line => line.startsWith('FAIL'))
    expect(failed).toEqual([expect.stringContaining('layers/dropout_linear')])
    expect(failed[0]).toContain('the scale is applied to the base as well as to the update')
  })

  it('is caught where it is wrong, with what is wrong', async () => {
    const { code, lines } = await verify(
      'test/golden/layers',
      'python3 conformance/examples/wrong.py',
    )
    const plain = lines.find(line => line.startsWith('FAIL  layers/linear_plain'))
    expect(plain).toContain('the scale is applied to the base as well as to the update')
    expect(plain).toMatch(/\| y: error 0\.\d+, tolerance 1\.0e-12 \(\[\d+\]: expected .*, got /)
    expect(plain).not.toContain('d_x')
    expect(code).toBe(1)
  })
})

describe('a program', () => {
  it('that knows no kind of case is an error', async () => {
    const { code, stderr, lines } = await verify('test/golden/optim', program('skip', 'exit 77'))
    expect(lines.at(-1)).toBe('0 passed, 0 failed')
    expect(stderr).toContain(`the command skipped all of ${count} cases`)
    expect(code).toBe(1)
  })

  it('that answers nothing fails every case', async () => {
    const { lines } = await verify('test/golden/optim', program('mute', 'exit 0'))
    expect(lines[0]).toContain('p0.trajectory (expected this output, got none)')
    expect(lines.at(-1)).toBe(`0 passed, ${count} failed`)
  })

  it('that breaks down is quoted', async () => {
    const { lines } = await verify(
      'test/golden/optim',
      program('broken', 'echo no such op; exit 3'),
    )
    expect(lines[0]).toContain('the command ended with status 3: no such op')
  })

  it('answers with files where files are asked for', async () => {
    const files = program(
      'files',
      `name=$(sed -n 's/^ *"name": "\\(.*\\)",$/\\1/p' "$1/case.json"); ` +
        'test -e "$1/expected" && exit 1; test -e "$1/adapter" || exit 1; ' +
        'test -e "$1/base/config.json" || exit 1; mkdir "$1/answer"; ' +
        `cp "${at('conformance')}/$name/expected/"* "$1/answer/"`,
    )
    const { lines, code } = await verify('conformance/export', files)
    expect(lines.filter(line => line.startsWith('FAIL'))).toEqual([])
    expect(lines.at(-1)).toBe('13 passed, 0 failed')
    expect(code).toBe(0)
  })

  it('that writes no files fails where files are asked for', async () => {
    const { lines } = await verify('conformance/export', program('none', 'exit 0'))
    expect(lines[0]).toContain('adapter.gguf (expected this file, got none)')
    expect(lines.at(-1)).toBe('0 passed, 13 failed')
  })

  it('that gives the stored answers passes every case', async () => {
    const oracle = `"${process.execPath}" "${at('test/cli/foreign/oracle.mjs')}" "${at('conformance')}"`
    const { lines, code } = await verify('conformance', oracle)
    expect(lines.filter(line => line.startsWith('FAIL'))).toEqual([])
    expect(lines.at(-1)).toMatch(/^\d+ passed, 0 failed$/)
    expect(code).toBe(0)
  })

  it('gets the inputs, and not the answers', async () => {
    const look = program(
      'look',
      'grep -q p0.state "$1/inputs.safetensors" && exit 1; ' +
        'grep -q p0.start "$1/inputs.safetensors" || exit 77; exit 0',
    )
    const { lines } = await verify('test/golden/optim', look)
    expect(lines.filter(line => line.includes('status 1'))).toEqual([])
    const asked = lines.filter(line => line.includes('expected this output')).length
    expect(asked).toBeGreaterThanOrEqual(25)
    expect(lines.at(-1)).toBe(`0 passed, ${asked} failed`)
  })
})

// `export`, `combine` and `analyze` as programs: what they write, and bad input as one line on standard
// error, a non-zero exit code and nothing written.

import { execFile } from 'node:child_process'
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readGguf } from '../../src/conformance/export/gguf_reader.ts'
import { bundleCli } from '../support/bundle_cli.ts'

const golden = fileURLToPath(new URL('../golden/models/', import.meta.url))
const adapter = join(golden, 'llama_list/adapter')
const trained = join(golden, 'llama_list/trained')
const base = join(golden, 'llama_list/base')
const work = mkdtempSync(join(tmpdir(), 'lowrank-adapters-'))
const cli = join(work, 'cli/main.mjs')

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function lowrank(...args: string[]): Promise<Result> {
  return new Promise(resolve => {
    execFile(process.execPath, [cli, ...args], { cwd: work }, (error, stdout, stderr) => {
      const code = error ? Number((error as { code?: unknown }).code ?? 1) : 0
      resolve({ code, stdout, stderr })
    })
  })
}

function expectRefusal({ code, stderr, stdout }: Result, ...parts: string[]): void {
  expect(code, stdout).not.toBe(0)
  for (const part of parts) {
    expect(stderr).toContain(part)
  }
  expect(stderr.trim().split('\n').length, stderr).toBe(1)
  expect(readdirSync(work)).toEqual(['cli'])
}

const json = (file: string) => JSON.parse(readFileSync(join(work, file), 'utf8'))

/** The lines that a program prints for programs. */
function events({ stdout }: Result): Record<string, unknown>[] {
  return stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
}

function clear(...names: string[]): void {
  for (const name of names) {
    rmSync(join(work, name), { recursive: true, force: true })
  }
}

beforeAll(() => bundleCli(join(work, 'cli')))
afterAll(() => rmSync(work, { recursive: true, force: true }))

describe('lowrank export', () => {
  const to = (format: string, out: string, ...more: string[]) =>
    lowrank('export', '--adapter', adapter, '--to', format, '--out', out, ...more)

  it('writes GGUF, portable and MLX adapters, and PEFT from MLX', async () => {
    expect((await to('gguf', 'a.gguf', '--model', base, '--outtype', 'f16')).code).toBe(0)
    const { kv, tensors } = readGguf(readFileSync(join(work, 'a.gguf')))
    expect(kv['general.name'].value).toBe('adapter')
    expect([...tensors.values()].every(({ type }) => type === 'F16')).toBe(true)
    expect((await to('portable', 'portable')).code).toBe(0)
    expect(json('portable/adapter_config.json').lora_alpha).toBe(6)
    expect((await to('mlx', 'mlx')).code).toBe(0)
    const back = await lowrank('export', '--adapter', 'mlx', '--to', 'peft', '--out', 'peft')
    expect(back.code).toBe(0)
    expect(readdirSync(join(work, 'peft')).sort()).toEqual([
      'adapter_config.json',
      'adapter_model.safetensors',
    ])
    expectOverwrite(await to('gguf', 'a.gguf', '--model', base), 'a.gguf')
    expectOverwrite(await to('mlx', 'mlx'), 'adapters.safetensors')
    clear('a.gguf', 'portable', 'mlx', 'peft')
  })

  function expectOverwrite({ code, stderr }: Result, part: string): void {
    expect(code).not.toBe(0)
    expect(stderr).toContain(part)
    expect(stderr).toContain('overwrite')
  }

  it('refuses what a format cannot hold, and calls that say too little', async () => {
    expectRefusal(await to('gguf', 'a.gguf'), 'say where it is: --model')
    expectRefusal(await to('gguf', 'a.gguf', '--model', 'nowhere'), 'nowhere')
    const dora = join(golden, 'llama_dora/adapter')
    const args = ['--adapter', dora, '--to', 'portable', '--out', 'portable']
    expectRefusal(await lowrank('export', ...args), 'servers that do not know DoRA')
    expectRefusal(
      await lowrank('export', '--adapter', 'gone', '--to', 'mlx', '--out', 'mlx'),
      'gone: expected a directory',
    )
  })
})

describe('lowrank combine', () => {
  const combine = (...more: string[]) =>
    lowrank('combine', '--adapters', adapter, trained, '--out', 'both', ...more)

  it('writes one adapter of two', async () => {
    const result = await combine('--type', 'cat', '--weights', '0.7,0.3')
    expect(result.stderr).toBe('')
    expect(json('both/adapter_config.json').r).toBe(12)
    expect(events(result).at(-1)).toMatchObject({ event: 'combined', type: 'cat' })
    clear('both')
  })

  it('refuses what cannot be combined', async () => {
    expectRefusal(await combine('--type', 'ties'), 'density: expected a share')
    expectRefusal(await combine('--weights', '1'), 'weights: expected one for each of 2, got 1')
    expectRefusal(
      await lowrank('combine', '--adapters', adapter, join(golden, 'qwen3/adapter'), '--out', 'x'),
      'expected adapters of one base',
    )
    const { code, stderr } = await combine('--weights', '1,a')
    expect(code).not.toBe(0)
    expect(stderr).toContain('expected a number')
  })
})

describe('lowrank analyze', () => {
  it('prints every layer and writes pictures of two adapters', async () => {
    const args = ['--model', base, '--adapter', adapter, '--other', trained]
    const result = await lowrank('analyze', ...args, '--report', 'analysis.html')
    expect(result.stderr).toBe('')
    const layers = events(result).filter(({ event }) => event === 'layer')
    expect(layers.length).toBe(6)
    for (const { relativeChange, amplification, similarities } of layers as never[]) {
      expect(relativeChange).toBeGreaterThan(0)
      expect((amplification as { factor: number }).factor).toBeGreaterThan(0)
      expect((similarities as { similarity: number[][] }).similarity[0][0]).toBeLessThanOrEqual(1)
    }
    const page = readFileSync(join(work, 'analysis.html'), 'utf8')
    for (const title of [
      'Change of each layer',
      'Singular values',
      'Amplification',
      'Similarity',
    ]) {
      expect(page).toContain(title)
    }
    expect(page.match(/<svg /g)?.length).toBe(10)
    expect(page).not.toMatch(/NaN|undefined/)
    clear('analysis.html')
  })

  it('needs a base that the adapter fits', async () => {
    const other = join(golden, 'qwen3/adapter')
    expectRefusal(await lowrank('analyze', '--model', base, '--adapter', other), 'o_proj')
    expectRefusal(await lowrank('analyze', '--model', 'gone', '--adapter', adapter), 'gone')
  })
})

describe('lowrank.json', () => {
  it('makes an adapter of another base a warning that says which', async () => {
    const said = { base: { sha256: '0'.repeat(64), dtype: 'float16', parameters: 7 } }
    cpSync(adapter, join(work, 'other'), { recursive: true })
    writeFileSync(join(work, 'other/lowrank.json'), JSON.stringify(said))
    const result = await lowrank('analyze', '--model', base, '--adapter', 'other')
    expect(result.code).toBe(0)
    const [warning] = events(result).filter(({ event }) => event === 'warning')
    expect(warning.warning).toContain('base 000000000000… (float16, 7 parameters)')
    clear('other')
  })
})

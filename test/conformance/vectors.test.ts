// The families that conformance/make.mjs writes from their definitions, on every backend: draws and masks,
// several adapters of DoRA on one layer, starts that are known exactly, files for other programs. Most of them
// interop/check_vectors.py compares with PyTorch and PEFT.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { wasm } from '../../src/backends/wasm/index.ts'
import { checkCase, KINDS, library, passes } from '../../src/conformance/index.ts'
import { describeFamily, familyCases, own } from '../support/conformance.ts'

const FAMILIES = ['export', 'init', 'layers', 'merge', 'optim', 'random']
const LARGEST = 1_000_000

for (const family of FAMILIES) {
  await describeFamily(family, undefined, own)
}

const folder = fileURLToPath(own)

/** All files of the families below a folder. */
function filesIn(root: string): string[] {
  return FAMILIES.flatMap(family => {
    const paths = readdirSync(join(root, family), { recursive: true, encoding: 'utf8' })
    return paths.map(path => join(family, path)).filter(path => statSync(join(root, path)).isFile())
  }).sort()
}

it('are written by the command that the README names', () => {
  const made = mkdtempSync(join(tmpdir(), 'lowrank-vectors-'))
  try {
    execFileSync(process.execPath, [join(folder, 'make.mjs'), made])
    const names = filesIn(folder)
    expect(filesIn(made)).toEqual(names)
    for (const name of names) {
      const [a, b] = [folder, made].map(root => readFileSync(join(root, name)))
      expect(a.equals(b), name).toBe(true)
    }
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
})

/** The file that an export case expects, by its kind. */
const EXPECTED: Readonly<Record<string, string>> = {
  gguf: 'adapter.gguf',
  mlx: 'adapters.safetensors',
  portable: 'adapter_model.safetensors',
}

describe('a file of another program', async () => {
  const cases = await familyCases('export', own)

  it.each(cases.map(example => [example.name, example] as const))('%s', async (_, example) => {
    const file = `expected/${EXPECTED[example.json.kind]}`
    const { files } = example
    const bytes = new Uint8Array(await files.read(file))
    // The highest byte of the last number: its sign and most of its exponent.
    bytes[bytes.findLastIndex(byte => byte !== 0)] ^= 0x80
    const read: typeof files.read = async (name, start, end) =>
      name === file ? bytes.slice(start, end) : files.read(name, start, end)
    const checks = await checkCase({ ...example, files: { ...files, read } }, library(wasm()))
    expect(checks.filter(check => !passes(check)).length).toBeGreaterThan(0)
  })
})

it('are small enough to be carried along', () => {
  const bytes = filesIn(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
  expect(bytes).toBeLessThan(LARGEST)
})

it('have a kind that is known, an output and tolerances', async () => {
  for (const family of FAMILIES) {
    for (const { name, kind, json } of await familyCases(family, own)) {
      expect(Object.keys(KINDS), name).toContain(kind)
      expect(json.outputs.length, name).toBeGreaterThan(0)
      const tolerances: number[] = Object.values(json.tolerance)
      expect(Math.max(...tolerances), name).toBeLessThan(1e-3)
    }
  }
})

// The text of every binary is its bytes again: those whose hash the build wrote above it, printable, and
// without what ends a text.

import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { decode } from '../../../src/backends/wasm/decode.ts'
import * as families from '../../../src/backends/wasm/families.ts'
import type { Binary } from '../../../src/core/backend.ts'

const folders = ['wasm', 'wasm_relaxed'].map(
  name => new URL(`../../../src/backends/${name}/binaries/`, import.meta.url),
)
const files = folders.flatMap(folder => readdirSync(folder).map(name => new URL(name, folder)))

describe.each(files.map(file => [file.pathname.split('/backends/')[1], file] as const))(
  '%s',
  (_, file) => {
    const source = readFileSync(file, 'utf8')

    it('is read as it was written', async () => {
      const { binary } = (await import(file.href)) as { binary: Binary }
      const bytes = binary.bytes?.() as Uint8Array
      const [, count, hash] = source.match(/^\/\/ (\d+) bytes, sha256 (\w+)$/m) as string[]
      expect(bytes.length).toBe(Number(count))
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(hash)
    })

    it('needs no escapes', () => {
      const text = source.match(/^ {2}'(.{100,})',$/m)?.[1] as string
      expect(text).toMatch(/^[!-~]+$/)
      expect(text).not.toMatch(/["$'<\\`]/)
    })
  },
)

describe('a text', () => {
  it('has one character for bytes near zero and two for the rest', () => {
    expect([...decode('%)~!!!~#!')]).toEqual([0xfd, 0, 82, 83, 170, 171])
    expect(decode('').length).toBe(0)
  })
})

it('is in the file of all families, under its own name', () => {
  const names = readdirSync(folders[0]).map(name => name.replace('.ts', ''))
  expect(Object.entries(families).map(([name, binary]) => [name, binary.name])).toEqual(
    names.sort().map(name => [name, name]),
  )
})

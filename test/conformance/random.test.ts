// The vectors of the generator, on every backend; they are what conformance/make.mjs writes.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { describeFamily } from '../support/conformance.ts'

await describeFamily('random')

it('are written by the command that the README names', () => {
  const own = fileURLToPath(new URL('../../conformance/', import.meta.url))
  const made = mkdtempSync(join(tmpdir(), 'lowrank-vectors-'))
  try {
    execFileSync(process.execPath, [join(own, 'make.mjs'), made])
    const names = readdirSync(join(own, 'random'))
    expect(readdirSync(join(made, 'random'))).toEqual(names)
    for (const name of names) {
      const [a, b] = [own, made].map(folder => readFileSync(join(folder, 'random', name)))
      expect(a.equals(b), name).toBe(true)
    }
  } finally {
    rmSync(made, { recursive: true, force: true })
  }
})

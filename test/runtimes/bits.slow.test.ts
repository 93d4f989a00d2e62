// Two runs with one seed give the same adapter, byte for byte, in every runtime that is present.

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const script = at('bits.mjs')

const runtimes = [
  { name: 'node', command: process.execPath, args: [script] },
  { name: 'node 24', command: at('node_modules/node24/bin/node'), args: [script] },
  { name: 'deno', command: at('node_modules/.bin/deno'), args: ['run', '-A', script] },
]

const present = runtimes.filter(({ name, command }) => {
  const found = existsSync(command)
  if (!found) {
    console.warn(`skipped: ${name} is not installed (npm ci --prefix test/runtimes)`)
  }
  return found
})

const run = (command: string, args: readonly string[]): unknown =>
  JSON.parse(execFileSync(command, args, { encoding: 'utf8' }).trim().split('\n').at(-1) as string)

describe('adapter bytes', () => {
  const want = run(process.execPath, [script])

  it.each(present)('are the same in $name', ({ command, args }) => {
    expect(run(command, args)).toEqual(want)
  })
})

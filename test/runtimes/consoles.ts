// Runtimes that run a script and print: Node in three versions, Deno, Bun, each with one and with two
// threads.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Project } from './project.ts'
import { tool } from './project.ts'
import { parsed, type Runtime } from './runtime.ts'

const execute = promisify(execFile)

interface Console {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
}

const CONSOLES: readonly Console[] = [
  { name: `Node ${process.versions.node.split('.')[0]}`, command: process.execPath, args: [] },
  { name: 'Node 22', command: tool('node22/bin/node'), args: [] },
  { name: 'Node 24', command: tool('node24/bin/node'), args: [] },
  { name: 'Deno', command: tool('.bin/deno'), args: ['run', '--allow-env'] },
  { name: 'Bun', command: tool('.bin/bun'), args: [] },
]

async function printed({ command, args }: Console, project: Project, threads: number) {
  const { stdout } = await execute(command, [...args, 'main.mjs', String(threads)], {
    cwd: project.folder,
    timeout: 120_000,
    maxBuffer: 1 << 24,
  })
  return parsed(stdout.trim().split('\n').at(-1) as string)
}

const rowOf = (console: Console, threads: number): Runtime => ({
  name: threads > 1 ? `${console.name}, ${threads} threads` : console.name,
  absent: existsSync(console.command) ? undefined : 'npm ci --prefix test/runtimes',
  run: project => printed(console, project, threads),
})

export const consoles: readonly Runtime[] = CONSOLES.flatMap(console => [
  rowOf(console, 1),
  rowOf(console, 2),
])

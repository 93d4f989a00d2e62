// Another program as an implementation of the conformance cases. Each case becomes a directory, the
// program is called with its path, and what it leaves there is its answer (foreign_case.ts).

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Answer,
  type Case,
  type CaseKind,
  type Implementation,
  NotImplemented,
} from '../conformance/index.ts'
import { readAnswer, writeQuestion } from './foreign_case.ts'

/** The exit status of a program that does not know a kind of case. */
const SKIP = 77
const TIME_LIMIT_MS = 60_000
/** How long what a program printed is waited for after its end. */
const GRACE_MS = 500
const SHOWN_OUTPUT = 2000

/** How a program ended. */
export interface Ended {
  /** Its exit status; null if it was ended by a signal, or at the time limit. */
  readonly status: number | null
  /** Why it has no status. */
  readonly reason?: string
  /** The last of what it printed. */
  readonly text: string
}

/** Calls a program with the path of a case. */
export type Call = (at: string) => Promise<Ended>

/** Ends a program and all that it started. */
function endGroup({ pid }: ChildProcess): void {
  try {
    // Negative: the process group. A shell that is killed alone leaves its children running.
    process.kill(-(pid as number), 'SIGKILL')
  } catch {
    // There is nobody left.
  }
}

/** Text that a program prints, the last of it. */
function collected(child: ChildProcess): () => string {
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (piece: Buffer) => {
      text = (text + piece.toString('utf8')).slice(-SHOWN_OUTPUT)
    })
  }
  return () => text.trim()
}

function start(command: string, at: string): ChildProcess {
  return spawn(`${command} "$LOWRANK_CASE"`, {
    shell: true,
    // A process group of its own, which can be ended as a whole.
    detached: true,
    env: { ...process.env, LOWRANK_CASE: at },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

const INTERRUPTS = { SIGINT: 130, SIGTERM: 143 } as const

/** Ends the program with this process, which the terminal no longer does; returns how to stop that. */
function endWithThis(child: ChildProcess): () => void {
  const stops = Object.entries(INTERRUPTS).map(([signal, status]) => {
    const end = (): void => {
      endGroup(child)
      process.exit(status)
    }
    process.once(signal, end)
    return () => process.off(signal, end)
  })
  return () => {
    for (const stop of stops) {
      stop()
    }
  }
}

/** When a program has ended and its output is read, or has not been for long. */
function ended(child: ChildProcess): Promise<readonly [number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status, signal) => resolve([status, signal]))
    child.on('exit', (status, signal) => {
      endGroup(child)
      setTimeout(() => resolve([status, signal]), GRACE_MS).unref()
    })
  })
}

/** Calls `command` through the shell; whatever it started is ended with it. */
export function program(command: string, limitMs: number = TIME_LIMIT_MS): Call {
  return async at => {
    const child = start(command, at)
    const text = collected(child)
    const release = endWithThis(child)
    let late: string | undefined
    const limit = setTimeout(() => {
      late = `no end within ${limitMs / 1000} s`
      endGroup(child)
    }, limitMs)
    try {
      const [status, signal] = await ended(child)
      const reason = late ?? (signal ? `signal ${signal}` : undefined)
      return { status: late ? null : status, reason, text: text() }
    } finally {
      clearTimeout(limit)
      release()
      child.stdout?.destroy()
      child.stderr?.destroy()
    }
  }
}

async function ask(call: Call, example: Case, kind: CaseKind, at: string): Promise<Answer> {
  await writeQuestion(example, kind, at)
  const { status, reason, text } = await call(at)
  if (status === SKIP) {
    throw new NotImplemented('the command does not know this kind of case')
  }
  if (status !== 0) {
    const end = reason ?? `status ${status}`
    throw new Error(`the command ended with ${end}: ${text || 'no output'}`)
  }
  return readAnswer(at)
}

/** A program as an implementation. */
export function foreign(name: string, call: Call = program(name)): Implementation {
  const answer = async (example: Case, kind: CaseKind): Promise<Answer> => {
    const at = await mkdtemp(join(tmpdir(), 'lowrank-case-'))
    try {
      return await ask(call, example, kind, at)
    } finally {
      await rm(at, { recursive: true, force: true })
    }
  }
  return { name, precision: 64, answer }
}

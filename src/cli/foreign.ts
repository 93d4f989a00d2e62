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

/** Calls `command` through the shell; whatever it started is ended with it. */
export function program(command: string, limitMs: number = TIME_LIMIT_MS): Call {
  return at =>
    new Promise((resolve, reject) => {
      const child = spawn(`${command} "$LOWRANK_CASE"`, {
        shell: true,
        detached: true,
        env: { ...process.env, LOWRANK_CASE: at },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const text = collected(child)
      const interrupted = (): void => {
        endGroup(child)
        process.exit(130)
      }
      let reason: string | undefined
      let grace: NodeJS.Timeout | undefined
      const limit = setTimeout(() => {
        reason = `no end within ${limitMs / 1000} s`
        endGroup(child)
      }, limitMs)
      const settle = (status: number | null, signal: string | null): void => {
        clearTimeout(grace)
        process.off('SIGINT', interrupted)
        child.stdout.destroy()
        child.stderr.destroy()
        resolve({
          status,
          reason: reason ?? (signal ? `signal ${signal}` : undefined),
          text: text(),
        })
      }
      process.once('SIGINT', interrupted)
      child.on('error', reject)
      child.on('close', settle)
      child.on('exit', (status, signal) => {
        clearTimeout(limit)
        endGroup(child)
        grace = setTimeout(() => settle(status, signal), GRACE_MS)
      })
    })
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

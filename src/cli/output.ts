// What the command line prints: a live bar on a terminal, JSON lines with --json or without one.
// Errors are one line; the stack only with --debug.

import { SingleBar } from 'cli-progress'
import { LowrankError } from '../core/errors.ts'

export interface OutputOptions {
  readonly json?: boolean
  readonly debug?: boolean
}

/** A bar that is only drawn on a terminal. */
export interface Bar {
  update(value: number, payload: Record<string, string>): void
  stop(): void
}

export class Output {
  readonly json: boolean

  constructor(options: OutputOptions) {
    this.json = options.json === true || process.stdout.isTTY !== true
  }

  /** One line of JSON for programs; nothing on a terminal. */
  event(event: string, fields: object): void {
    if (this.json) {
      console.log(JSON.stringify({ event, ...fields }))
    }
  }

  /** Text for people; nothing where programs read. */
  text(text: string): void {
    if (!this.json) {
      console.log(text)
    }
  }

  /** What must not be overlooked: an event for programs, a line on standard error for people. */
  warn(warning: string): void {
    this.event('warning', { warning })
    if (!this.json) {
      console.error(`lowrank: warning: ${warning}`)
    }
  }

  bar(format: string, total: number): Bar {
    if (this.json) {
      return { update: () => undefined, stop: () => undefined }
    }
    const bar = new SingleBar({ format, hideCursor: true, etaBuffer: 50 })
    bar.start(total, 0, { loss: '–', speed: '–' })
    return bar
  }
}

function oneLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const [head, ...rest] = message.split('\n').map(line => line.trim())
  const items = rest.map(line => line.replace(/^- /, ''))
  return items.length > 0 ? `${head}: ${items.join('; ')}` : head
}

/** Prints an error as one line on standard error and sets the exit code. */
export function reportError(error: unknown, options: OutputOptions): void {
  console.error(`lowrank: ${oneLine(error)}`)
  if (options.debug) {
    console.error(error)
  } else if (!(error instanceof LowrankError)) {
    console.error('lowrank: this error was not foreseen (--debug prints where it is from)')
  }
  process.exitCode ||= 1
}

// Stopping: a signal is asked between steps, and the event loop gets its turn, so that timers and
// Ctrl-C are heard while training runs.

import { LowrankError } from '../core/errors.ts'

/** Throws an `aborted` error if the signal fired. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) {
    throw new LowrankError('aborted', 'stopped: the signal fired', { cause: signal.reason })
  }
}

const TURN_MS = 25

/** Lets other work run if the last turn of the event loop is longer ago than 25 ms. */
export class Breather {
  #last = performance.now()

  async breathe(): Promise<void> {
    if (performance.now() - this.#last < TURN_MS) {
      return
    }
    await new Promise(resolve => setTimeout(resolve, 0))
    this.#last = performance.now()
  }
}

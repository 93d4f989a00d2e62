// Answers messages with what `run` gives and wakes whoever waits.

import type { MessagePort } from 'node:worker_threads'
import type { TypedArray } from '../../../src/core/dtype.ts'
import type { Call } from './host.ts'

export interface Answer {
  readonly data?: TypedArray
  readonly error?: { readonly code?: string; readonly message: string }
}

export function serve(
  port: MessagePort,
  state: Int32Array,
  run: (calls: readonly Call[]) => Promise<TypedArray | undefined>,
): void {
  port.on('message', async (calls: readonly Call[]) => {
    let answer: Answer
    try {
      answer = { data: await run(calls) }
    } catch (error) {
      const { code, message, stack } = error as Error & { code?: string }
      answer = { error: { code, message: code ? message : String(stack) } }
    }
    port.postMessage(answer)
    Atomics.store(state, 0, 1)
    Atomics.notify(state, 0)
  })
}

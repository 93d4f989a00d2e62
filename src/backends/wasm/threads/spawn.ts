// Starts a worker from text, wherever there are workers: Node, Deno and Bun by their worker_threads,
// pages by a blob (a Content-Security-Policy needs `worker-src blob:`).

import { LowrankError } from '../../../core/errors.ts'
import { WORKER_SOURCE } from './worker_source.ts'

/** A running worker. */
export interface Thread {
  send(message: object): void
  stop(): void
}

type Failed = (reason: string) => void

interface NodeWorker {
  postMessage(message: object): void
  terminate(): unknown
  unref(): void
  on(event: 'error', listener: (error: Error) => void): void
}

interface NodeThreads {
  readonly Worker: new (program: URL) => NodeWorker
}

interface Surroundings {
  readonly process?: { getBuiltinModule?(name: string): unknown }
}

function nodeThreads(): NodeThreads | undefined {
  const { process } = globalThis as Surroundings
  return process?.getBuiltinModule?.('node:worker_threads') as NodeThreads | undefined
}

function spawnInNode({ Worker }: NodeThreads, failed: Failed): Thread {
  const url = `data:text/javascript,${encodeURIComponent(WORKER_SOURCE)}`
  const worker = new Worker(new URL(url))
  worker.on('error', error => failed(error.message))
  // A program that has nothing else to do may end.
  worker.unref()
  return {
    send: message => worker.postMessage(message),
    stop: () => worker.terminate(),
  }
}

function spawnOnPage(failed: Failed): Thread {
  const url = URL.createObjectURL(new Blob([WORKER_SOURCE], { type: 'text/javascript' }))
  const worker = new Worker(url, { type: 'module' })
  worker.onerror = event => failed(event.message || 'the worker could not be loaded')
  return {
    send: message => worker.postMessage(message),
    stop() {
      worker.terminate()
      URL.revokeObjectURL(url)
    },
  }
}

/** Throws a `backend` error where there are no threads that share memory. */
export function checkThreads(): void {
  if (typeof SharedArrayBuffer !== 'function') {
    throw new LowrankError(
      'backend',
      'wasm: threads share memory, which is off here (serve the page with ' +
        'Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, ' +
        'or leave `threads` out)',
    )
  }
  if (!nodeThreads() && typeof Worker !== 'function') {
    throw new LowrankError(
      'backend',
      'wasm: threads need workers, which this runtime does not have (leave `threads` out)',
    )
  }
}

/** A worker that runs the program; `failed` hears why if it dies. */
export function spawn(failed: Failed): Thread {
  const threads = nodeThreads()
  return threads ? spawnInNode(threads, failed) : spawnOnPage(failed)
}

// The WASM backend over several threads: the same binaries in a memory that all share.

import type { Binary, Floats } from '../../../core/backend.ts'
import { LowrankError } from '../../../core/errors.ts'
import { WasmBackend } from '../backend.ts'
import { MOST_WORKERS } from './control.ts'
import { Pool } from './pool.ts'
import { checkThreads } from './spawn.ts'

// A net only: workers of a backend that nobody disposed of end with it.
const forgotten = /* @__PURE__ */ new FinalizationRegistry((pool: Pool) => pool.stop())

export class ThreadedBackend extends WasmBackend {
  readonly threads: number
  readonly #pool: Pool
  readonly #own: Floats[] = []
  #ownCount = 0

  constructor(core: Binary, threads: number, maximumBytes: number | undefined) {
    if (!Number.isInteger(threads) || threads < 1 || threads > MOST_WORKERS + 1) {
      throw new LowrankError(
        'argument',
        `wasm: threads: expected a whole number from 1 to ${MOST_WORKERS + 1}, got ${threads}`,
      )
    }
    checkThreads()
    const pool = new Pool(threads)
    const instantiate = pool.instantiate.bind(pool)
    super({ core, maximumBytes, shared: true, instantiate })
    this.threads = threads
    this.#pool = pool
    forgotten.register(this, pool, this)
  }

  /** Workers that are there: none before the first large product, and for a moment after it. */
  get workers(): number {
    return this.#pool.ready
  }

  /** Whether workers have been asked for. */
  get started(): boolean {
    return this.#pool.started
  }

  /** Rows that workers have computed so far. */
  get computedByWorkers(): number {
    return this.#pool.computedByWorkers
  }

  override scratch(count: number): Floats {
    if (count > this.#ownCount) {
      // Step by step: where the heap cannot grow, #own names what is allocated, no more and no less.
      this.#ownCount = 0
      while (this.#own.length > 0) {
        this.release(this.#own.pop() as Floats)
      }
      while (this.#own.length < this.threads - 1) {
        this.#own.push(this.allocate('float32', count))
      }
      this.#ownCount = count
      this.#pool.setScratch(this.#own as unknown as number[])
    }
    return super.scratch(count)
  }

  /** Ends the workers. What is computed afterwards is computed by the caller. */
  override dispose(): void {
    this.#pool.stop()
  }
}

// Threads that compute parts of one kernel call in one shared memory. The caller cuts the call into
// chunks, takes chunks itself like every worker, and goes on when all are done: it never depends on a
// worker being there, and never sleeps on a page's main thread. A chunk is taken by an atomic exchange
// of one word, which numbers the work too, so that a worker which slept cannot take a chunk of work
// that is over.

import type { Binary } from '../../../core/backend.ts'
import { LowrankError } from '../../../core/errors.ts'
import type { Exports, KernelImports } from '../backend.ts'
import * as at from './control.ts'
import { withSharedMemory } from './shared_import.ts'
import { spawn, type Thread } from './spawn.ts'
import { partOf, type Split, startsOf } from './split.ts'
import { SPLITS } from './splits.ts'

type Kernel = (...operands: number[]) => number

/** A module and the names of those exports that threads call. */
interface SharedBinary {
  readonly module: WebAssembly.Module
  readonly names: readonly string[]
}

export class Pool {
  readonly #count: number
  readonly #control: SharedArrayBuffer
  readonly #words: Int32Array
  readonly #numbers: Float64Array
  readonly #binaries: SharedBinary[] = []
  #memory: WebAssembly.Memory | undefined
  #core: Exports = {}
  #threads: Thread[] | undefined
  #stopped = false
  #kernels = 0
  #work = 0

  /** `threads` counts the caller. */
  constructor(threads: number) {
    this.#count = threads - 1
    this.#control = new SharedArrayBuffer(at.WORDS * 4 + at.NUMBERS * 8)
    this.#words = new Int32Array(this.#control, 0, at.WORDS)
    this.#numbers = new Float64Array(this.#control, at.WORDS * 4)
  }

  /** Rows, columns or elements that workers have computed so far. */
  get computedByWorkers(): number {
    return Atomics.load(this.#words, at.UNITS)
  }

  /** Whether workers have been asked for. */
  get started(): boolean {
    return this.#threads !== undefined
  }

  /** How many workers can take chunks now. */
  get ready(): number {
    return this.started && this.#loaded() ? this.#count : 0
  }

  /** Kernels of a binary; those that can be split hand out parts. */
  instantiate(binary: Binary, { env }: KernelImports): Exports {
    this.#memory = env.memory
    const module = new WebAssembly.Module(withSharedMemory(bytesOf(binary)))
    // Inside a kernel, the core kernels do the whole of what they are asked for.
    const imports = { env, core: this.#core }
    const exports = new WebAssembly.Instance(module, imports).exports as Exports
    if (binary.name === 'core') {
      this.#core = exports
    }
    const kernels: Exports = { ...exports }
    const names = Object.keys(exports).filter(name => name in SPLITS)
    for (const name of names) {
      kernels[name] = this.#handingOut(name, exports[name], this.#kernels++)
    }
    if (names.length > 0) {
      const shared = { module, names }
      this.#binaries.push(shared)
      this.#post([shared])
    }
    return kernels
  }

  /** Where each worker has scratch of its own. */
  setScratch(pointers: readonly number[]): void {
    this.#numbers.set(pointers, at.OWN_SCRATCH)
  }

  /** Ends the workers; the caller computes alone from now on. */
  stop(): void {
    this.#stopped = true
    for (const thread of this.#threads ?? []) {
      thread.stop()
    }
    this.#threads = []
  }

  #handingOut(name: string, kernel: Kernel, number: number): Kernel {
    const rule = SPLITS[name]
    return (...operands) => {
      const split = this.#stopped ? undefined : rule(operands)
      if (!split || !this.#loaded()) {
        return kernel(...operands)
      }
      const starts = startsOf(split, this.#count + 1)
      if (starts.length < 3) {
        return kernel(...operands)
      }
      this.#run(kernel, number, operands, split, starts)
      return 0
    }
  }

  /** Whether all workers have all kernels; starts them where none has been asked for. */
  #loaded(): boolean {
    if (!this.#threads) {
      this.#start()
      return false
    }
    const sent = Atomics.load(this.#words, at.MAIL)
    for (let i = 0; i < this.#count; i++) {
      if (Atomics.load(this.#words, at.LOADED + i) !== sent) {
        return false
      }
    }
    return this.#threads.length > 0
  }

  #start(): void {
    this.#threads = []
    try {
      for (let i = 0; i < this.#count; i++) {
        this.#threads.push(spawn(reason => this.#fail(reason)))
      }
    } catch (error) {
      this.#fail((error as Error).message)
      return
    }
    const first = { control: this.#control, memory: this.#memory }
    this.#threads.forEach((thread, index) => {
      thread.send({ ...first, index, binaries: this.#binaries })
    })
    Atomics.add(this.#words, at.MAIL, 1)
  }

  #post(binaries: readonly SharedBinary[]): void {
    if (!this.#threads || this.#threads.length === 0) {
      return
    }
    for (const thread of this.#threads) {
      thread.send({ binaries })
    }
    Atomics.add(this.#words, at.MAIL, 1)
    // Another number, so that who is about to sleep does not, and who sleeps wakes up.
    this.#publish(0)
  }

  #fail(reason: string): void {
    if (!this.#stopped) {
      console.warn(`lowrank: wasm: a worker failed (${reason}); the caller computes alone`)
      this.stop()
    }
  }

  #publish(chunks: number): void {
    this.#work = (this.#work + 1) & 0x3fffff
    Atomics.store(this.#words, at.CLAIM, (this.#work << 8) | chunks)
    if (Atomics.load(this.#words, at.SLEEPERS) > 0) {
      Atomics.notify(this.#words, at.CLAIM)
    }
  }

  #run(
    kernel: Kernel,
    number: number,
    operands: number[],
    split: Split,
    starts: readonly number[],
  ): void {
    const chunks = starts.length - 1
    this.#describe(number, operands, split, starts)
    Atomics.store(this.#words, at.DONE, 0)
    this.#publish(chunks)
    const own = this.#takeChunks(kernel, operands, split, starts)
    while (Atomics.load(this.#words, at.DONE) < chunks - own) {
      // Workers are in their last chunk: shorter than any way of sleeping.
    }
    if (Atomics.exchange(this.#words, at.FAILED, 0) > 0) {
      throw new LowrankError('backend', 'wasm: a worker stopped in the middle of a kernel')
    }
  }

  #describe(
    number: number,
    operands: readonly number[],
    split: Split,
    starts: readonly number[],
  ): void {
    const numbers = this.#numbers
    numbers[at.KERNEL] = number
    numbers[at.COUNT] = split.count
    numbers[at.SCRATCH] = split.scratch
    numbers[at.MOVES] = split.moves.length
    numbers[at.OPERANDS] = operands.length
    const afterOperands = put(numbers, at.FIRST, operands)
    split.moves.reduce((place, pair) => put(numbers, place, pair), afterOperands)
    put(numbers, at.STARTS, starts)
  }

  /** Computes chunks until none is left; how many. */
  #takeChunks(
    kernel: Kernel,
    operands: readonly number[],
    split: Split,
    starts: readonly number[],
  ): number {
    for (let own = 0; ; ) {
      const claim = Atomics.load(this.#words, at.CLAIM)
      const left = claim & 255
      if (left === 0) {
        return own
      }
      if (Atomics.compareExchange(this.#words, at.CLAIM, claim, claim - 1) === claim) {
        kernel(...partOf(operands, split, starts[left - 1], starts[left]))
        own++
      }
    }
  }
}

/** Stores values one after the other; where the next one goes. `set` takes ten times as long for so few. */
function put(numbers: Float64Array, at: number, values: readonly number[]): number {
  for (const value of values) {
    numbers[at++] = value
  }
  return at
}

function bytesOf(binary: Binary): Uint8Array {
  if (!binary.bytes) {
    throw new LowrankError('backend', 'wasm: threads need engines that compile at run time')
  }
  return binary.bytes()
}

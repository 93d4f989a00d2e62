// The far side of a remote backend: runs batches of calls on a WebGPU backend, in a worker thread or in
// a page, and answers with what was read.

import type { Backend, Floats } from '../../../src/core/backend.ts'
import type { DType, TypedArray } from '../../../src/core/dtype.ts'

/** A buffer among the arguments of a kernel is a list of its one number. */
export type Operand = number | readonly [buffer: number]

export type Call =
  | readonly ['allocate', buffer: number, dtype: DType, count: number]
  | readonly ['release', buffer: number]
  | readonly ['write', buffer: number, dtype: DType, data: TypedArray]
  | readonly ['kernel', name: string, operands: readonly Operand[]]
  | readonly ['read', buffer: number, dtype: DType, count: number]

type Kernels = Record<string, (...operands: (number | Floats)[]) => void>

export class Host {
  readonly #backend: Backend
  readonly #buffers: Map<number, Floats> = new Map()
  readonly #kernels: Map<string, Kernels> = new Map()

  constructor(backend: Backend) {
    this.#backend = backend
  }

  /** Runs calls in order; the answer is that of the last one, if it reads. */
  async run(calls: readonly Call[]): Promise<TypedArray | undefined> {
    let answer: TypedArray | undefined
    for (const call of calls) {
      answer = await this.#run(call)
    }
    return answer
  }

  #buffer(id: number): Floats {
    const found = this.#buffers.get(id)
    if (found === undefined) {
      throw new Error(`no buffer ${id}`)
    }
    return found
  }

  async #run(call: Call): Promise<TypedArray | undefined> {
    switch (call[0]) {
      case 'allocate':
        this.#buffers.set(call[1], this.#backend.allocate(call[2], call[3]))
        return
      case 'release':
        this.#backend.release(this.#buffer(call[1]))
        this.#buffers.delete(call[1])
        return
      case 'write':
        this.#backend.write(this.#buffer(call[1]), call[2], call[3])
        return
      case 'kernel':
        this.#call(call[1], call[2])
        return
      case 'read':
        return this.#backend.readAsync(this.#buffer(call[1]), call[2], call[3])
    }
  }

  #call(name: string, operands: readonly Operand[]): void {
    let kernels = this.#kernels.get(name)
    if (!kernels) {
      kernels = this.#backend.kernels<Kernels>({ name, reference: { [name]: () => undefined } })
      this.#kernels.set(name, kernels)
    }
    kernels[name](
      ...operands.map(item => (typeof item === 'number' ? item : this.#buffer(item[0]))),
    )
  }
}

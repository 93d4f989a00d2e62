// Calls kernels on buffers between guard words: a kernel that writes outside an output or its scratch
// is found out, as is one that reads outside its operands and lets what it reads decide.

import type { Exports } from './instance.ts'
import { KernelInstance } from './instance.ts'

const GUARD = 0x7fc0dead
const GUARD_WORDS = 16

/** Operands of one call and the guards around them. */
export class Guarded {
  readonly #instance: KernelInstance
  readonly #guards: number[] = []

  /** The kernels of the families given. */
  readonly kernels: Exports

  constructor(module: WebAssembly.Module, ...more: WebAssembly.Module[]) {
    this.#instance = new KernelInstance(module)
    const others = more.map(other => this.#instance.exportsOf(other))
    this.kernels = Object.assign({}, this.#instance.kernels, ...others)
  }

  #guard(address: number): void {
    this.#instance.u32(address, GUARD_WORDS).fill(GUARD)
    this.#guards.push(address)
  }

  /** Room for `count` words between guards, filled with NaN; its address. */
  room(count: number): number {
    const start = this.#instance.reserve((count + 2 * GUARD_WORDS) * 4)
    this.#guard(start)
    const address = start + GUARD_WORDS * 4
    this.#instance.u32(address, count).fill(GUARD)
    this.#guard(address + count * 4)
    return address
  }

  floats(data: ArrayLike<number>): number {
    const address = this.room(data.length)
    this.#instance.f32(address, data.length).set(data)
    return address
  }

  ints(data: ArrayLike<number>): number {
    const address = this.room(data.length)
    this.#instance.i32(address, data.length).set(data)
    return address
  }

  read(address: number, count: number): Float32Array {
    return this.#instance.f32(address, count).slice()
  }

  /** How many guard words were overwritten. */
  damage(): number {
    let words = 0
    for (const address of this.#guards) {
      words += this.#instance.u32(address, GUARD_WORDS).filter(word => word !== GUARD).length
    }
    return words
  }
}

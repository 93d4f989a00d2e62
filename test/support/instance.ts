// One family of kernels in a memory of its own, for tests and benches that call kernels directly:
// buffers are handed out from the bottom, 64-byte aligned, and never freed.

import { binary as core } from '../../src/backends/wasm/binaries/core.ts'

/** A family's exports: every kernel takes byte pointers, element counts and numbers. */
export type Exports = Record<string, (...operands: number[]) => number>

const PAGE = 65536

/** A compiled family with its memory and a bump allocator. */
export class KernelInstance {
  readonly memory: WebAssembly.Memory
  readonly kernels: Exports
  #top = PAGE

  constructor(module: WebAssembly.Module, megabytes = 16) {
    const pages = Math.ceil((megabytes * 1048576) / PAGE) + 1
    this.memory = new WebAssembly.Memory({ initial: pages })
    this.kernels = this.exportsOf(module)
  }

  /** The kernels of a family, on the same memory, with the core kernels that they may call. */
  exportsOf(module: WebAssembly.Module): Exports {
    const env = { memory: this.memory }
    const { exports } = new WebAssembly.Instance(core.module(), { env })
    return new WebAssembly.Instance(module, { env, core: exports }).exports as unknown as Exports
  }

  /** The address of `bytes` fresh bytes. */
  reserve(bytes: number): number {
    const address = this.#top
    this.#top = Math.ceil((address + bytes) / 64) * 64
    if (this.#top > this.memory.buffer.byteLength) {
      throw new RangeError(`KernelInstance: ${this.#top} bytes do not fit into the memory`)
    }
    return address
  }

  /** The address at which `bytes` bytes end exactly where the memory ends. */
  atEnd(bytes: number): number {
    return this.memory.buffer.byteLength - bytes
  }

  /** Forgets all buffers. */
  clear(): void {
    this.#top = PAGE
  }

  f32(address: number, length: number): Float32Array<ArrayBuffer> {
    return new Float32Array(this.memory.buffer as ArrayBuffer, address, length)
  }

  u32(address: number, length: number): Uint32Array<ArrayBuffer> {
    return new Uint32Array(this.memory.buffer as ArrayBuffer, address, length)
  }

  u16(address: number, length: number): Uint16Array<ArrayBuffer> {
    return new Uint16Array(this.memory.buffer as ArrayBuffer, address, length)
  }

  i32(address: number, length: number): Int32Array<ArrayBuffer> {
    return new Int32Array(this.memory.buffer as ArrayBuffer, address, length)
  }
}

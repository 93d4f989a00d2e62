// Reading back: a copy into a buffer that JavaScript may map, recorded in its place among the commands,
// so that it holds what the elements were at the moment of the call. Reads asked for in one turn share
// one hand-over.

import type { Commands } from './commands.ts'
import type { Health } from './health.ts'
import { type Block, type Pool, sizeClass } from './pool.ts'

export class Reader {
  readonly #device: GPUDevice
  readonly #commands: Commands
  readonly #pool: Pool
  readonly #health: Health
  readonly #free: Map<number, GPUBuffer[]> = new Map()

  constructor(device: GPUDevice, commands: Commands, pool: Pool, health: Health) {
    this.#device = device
    this.#commands = commands
    this.#pool = pool
    this.#health = health
  }

  /** The first `bytes` of a block; throws what has failed on the device. */
  async read(from: Block, bytes: number): Promise<ArrayBuffer> {
    this.#health.check()
    if (bytes === 0) {
      return new ArrayBuffer(0)
    }
    const size = sizeClass(bytes)
    const list = this.#free.get(size) ?? []
    this.#free.set(size, list)
    const target = list.pop() ?? this.#create(size)
    this.#commands.copyToBuffer(from, target, 0, bytes)
    await new Promise<void>(resolve => this.#commands.afterSubmit(resolve))
    try {
      await target.mapAsync(1, 0, bytes)
    } catch (cause) {
      await this.#failed(cause)
    }
    await this.#health.settle()
    const memory = target.getMappedRange(0, bytes).slice(0)
    target.unmap()
    list.push(target)
    return memory
  }

  /** A map fails where the device is lost or a command was refused: that is what to say. */
  async #failed(cause: unknown): Promise<never> {
    await new Promise(resolve => setTimeout(resolve, 0))
    await this.#health.settle()
    throw cause
  }

  #create(size: number): GPUBuffer {
    const { GPUBufferUsage: usage } = this.#health.constants
    this.#pool.created++
    return this.#device.createBuffer({ size, usage: usage.MAP_READ | usage.COPY_DST })
  }
}

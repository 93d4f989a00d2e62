// Device memory: GPU buffers by size class, taken from a free list and given back to it. A step takes
// the same sizes in the same order every time, so that after the second one no buffer is created.
// Commands run in the order they are recorded: a buffer may be taken again while older commands still
// wait to read it.
//
// What leaves a step for good and is small, a loss above all, moves to a slab: one buffer of many
// places, so that results nobody has read yet cost no buffer each.

import { LowrankError } from '../../core/errors.ts'
import type { Health } from './health.ts'

/** A part of a GPU buffer; what other backends call a pointer. */
export interface Block {
  readonly buffer: GPUBuffer
  /** Names the buffer in keys. */
  readonly id: number
  readonly offset: number
  readonly bytes: number
  /** Set on places of a slab, which are copied to and read from, never written by a kernel. */
  readonly slab?: Slab
}

interface Slab {
  readonly buffer: GPUBuffer
  readonly id: number
  readonly free: number[]
}

/** The finest step in which buffers can be bound. */
export const ALIGNMENT = 256
const SLAB_PLACES = 1024
const STEPS_PER_DOUBLING = 8

export interface PoolLimits {
  readonly maxBufferSize: number
  /** The most bytes to take from the device. */
  readonly maximumBytes: number
}

/** Bytes that a request is rounded up to: eight classes for each doubling, multiples of 256. */
export function sizeClass(bytes: number): number {
  let step = ALIGNMENT
  while (step * STEPS_PER_DOUBLING * 2 <= bytes) {
    step *= 2
  }
  return Math.max(1, Math.ceil(bytes / step)) * step
}

export class Pool {
  readonly #device: GPUDevice
  readonly #health: Health
  readonly #limits: PoolLimits
  readonly #free: Map<number, Block[]> = new Map()
  readonly #slabs: Slab[] = []
  /**
   * Called before buffers are destroyed: commands that are recorded may still use them, and what was made
   * from them is of no use any more.
   */
  beforeDestroy: () => void = () => undefined
  /** Buffers created so far. */
  created = 0
  used = 0
  peak = 0
  reserved = 0

  constructor(device: GPUDevice, health: Health, limits: PoolLimits) {
    this.#device = device
    this.#health = health
    this.#limits = limits
  }

  /** A buffer of at least `bytes`, its contents undefined. Throws a `memory` error. */
  allocate(bytes: number): Block {
    const size = sizeClass(bytes)
    const block = this.#free.get(size)?.pop() ?? this.#create(size)
    this.used += size
    this.peak = Math.max(this.peak, this.used)
    return block
  }

  release(block: Block): void {
    if (block.slab) {
      block.slab.free.push(block.offset)
      this.used -= ALIGNMENT
      return
    }
    this.used -= block.bytes
    const list = this.#free.get(block.bytes)
    if (list) {
      list.push(block)
    } else {
      this.#free.set(block.bytes, [block])
    }
  }

  /** A place for a result of at most 256 bytes outside of what steps reuse, if there is room for one. */
  place(): Block | undefined {
    const slab = this.#slabs.find(({ free }) => free.length > 0) ?? this.#newSlab()
    if (!slab) {
      return undefined
    }
    const offset = slab.free.pop() as number
    this.used += ALIGNMENT
    this.peak = Math.max(this.peak, this.used)
    return { buffer: slab.buffer, id: slab.id, offset, bytes: ALIGNMENT, slab }
  }

  /** Destroys what is free. */
  trim(): void {
    this.beforeDestroy()
    for (const blocks of this.#free.values()) {
      for (const { buffer, bytes } of blocks) {
        buffer.destroy()
        this.reserved -= bytes
      }
    }
    this.#free.clear()
  }

  #newSlab(): Slab | undefined {
    const bytes = SLAB_PLACES * ALIGNMENT
    if (this.reserved + bytes > this.#limits.maximumBytes) {
      return undefined
    }
    const { buffer, id } = this.#create(bytes)
    const free = Array.from({ length: SLAB_PLACES }, (_, i) => (SLAB_PLACES - 1 - i) * ALIGNMENT)
    const slab = { buffer, id, free }
    this.#slabs.push(slab)
    return slab
  }

  #create(size: number): Block {
    this.#health.check()
    const { maxBufferSize, maximumBytes } = this.#limits
    if (size > maxBufferSize) {
      throw new LowrankError(
        'memory',
        `webgpu: one tensor of ${size} bytes does not fit a buffer of this device, ` +
          `${maxBufferSize} bytes (the default backend, wasm, has no such limit)`,
      )
    }
    if (this.reserved + size > maximumBytes) {
      this.trim()
    }
    if (this.reserved + size > maximumBytes) {
      throw new LowrankError(
        'memory',
        `webgpu: ${size} bytes more would exceed maximumBytes, ${maximumBytes}: ` +
          `${this.reserved} are taken (use a smaller batch, checkpoint(), or the wasm backend)`,
      )
    }
    const { GPUBufferUsage: usage } = this.#health.constants
    this.#device.pushErrorScope('out-of-memory')
    const buffer = this.#device.createBuffer({
      size,
      usage: usage.STORAGE | usage.COPY_SRC | usage.COPY_DST,
    })
    this.#health.expectMemory(this.#device.popErrorScope(), size)
    this.created++
    this.reserved += size
    return { buffer, id: this.created, offset: 0, bytes: size }
  }
}

// Commands on their way to the device: one encoder, with one compute pass open in it, collects the
// kernels of a step. It is handed over when the running JavaScript turn ends, when something is read,
// or when it has grown long. Sizes and numbers of all kernels, and small uploads, go into one array
// per chunk that is written to the device once, just before the commands.

import type { Health } from './health.ts'
import { ALIGNMENT, type Block, type Pool } from './pool.ts'

const CHUNK_BYTES = 1048576
/** The uniform window that a kernel sees of a chunk. */
export const PARAMETER_BYTES = 256
/** What a chunk takes; larger data is written by the queue itself. */
const LARGEST_UPLOAD = 65536
/** Commands after which the device gets to work without waiting for the end of the turn. */
const LONGEST = 8192
const MOST_GROUPS = 65535

interface Chunk {
  readonly block: Block
  readonly group: GPUBindGroup
  readonly words: ArrayBuffer
  readonly u32: Uint32Array
  readonly i32: Int32Array
  readonly f32: Float32Array
}

/** Where the numbers of one kernel go; `at` counts words. */
export interface Slot {
  readonly u32: Uint32Array
  readonly i32: Int32Array
  readonly f32: Float32Array
  readonly at: number
}

/** A pipeline and what its kernel binds. */
export interface Executable {
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
  readonly id: number
}

const MOST_BIND_GROUPS = 16384

export class Commands {
  readonly #device: GPUDevice
  readonly #pool: Pool
  readonly #health: Health
  readonly parameterLayout: GPUBindGroupLayout
  readonly #chunks: Chunk[] = []
  readonly #groups: Map<string, GPUBindGroup> = new Map()
  readonly #touched: Set<number> = new Set()
  #chunk = 0
  #used = 0
  #encoder: GPUCommandEncoder | undefined
  #pass: GPUComputePassEncoder | undefined
  #length = 0
  #scheduled = false
  #afterSubmit: (() => void)[] = []
  /** The copy kernel, set by the backend: uploads are copied out of a chunk by it. */
  copyWords: (source: Block, at: number, target: Block, count: number) => void = () => undefined

  constructor(device: GPUDevice, pool: Pool, health: Health) {
    this.#device = device
    this.#pool = pool
    this.#health = health
    this.parameterLayout = device.createBindGroupLayout({
      entries: [
        {
          binding: 0,
          visibility: 4,
          buffer: { type: 'uniform', hasDynamicOffset: true, minBindingSize: PARAMETER_BYTES },
        },
      ],
    })
    pool.beforeDestroy = () => {
      this.flush()
      this.#groups.clear()
    }
  }

  /** Room for the numbers of the next kernel. */
  slot(): Slot {
    const chunk = this.#reserve(PARAMETER_BYTES)
    const { u32, i32, f32 } = chunk
    return { u32, i32, f32, at: (this.#used - PARAMETER_BYTES) / 4 }
  }

  /** Records a kernel whose numbers are in the slot taken last. */
  dispatch(executable: Executable, blocks: readonly Block[], slot: Slot, groups: number): void {
    const pass = this.#open()
    pass.setPipeline(executable.pipeline)
    pass.setBindGroup(0, this.#chunks[this.#chunk].group, [slot.at * 4])
    pass.setBindGroup(1, this.#bindGroup(executable, blocks))
    const x = Math.min(groups, MOST_GROUPS)
    pass.dispatchWorkgroups(x, Math.ceil(groups / x))
    for (const block of blocks) {
      this.#touched.add(block.id)
    }
    this.#count()
  }

  copy(from: Block, to: Block, bytes: number): void {
    this.copyToBuffer(from, to.buffer, to.offset, bytes)
    this.#touched.add(to.id)
  }

  copyToBuffer(from: Block, to: GPUBuffer, offset: number, bytes: number): void {
    this.#closePass()
    this.#encode().copyBufferToBuffer(from.buffer, from.offset, to, offset, bytes)
    this.#touched.add(from.id)
    this.#count()
  }

  /** Overwrites the start of `block`; what was recorded before still sees what it held. */
  upload(block: Block, data: Uint8Array): void {
    const bytes = Math.ceil(data.byteLength / 4) * 4
    if (bytes === 0) {
      return
    }
    if (this.#touched.has(block.id) && bytes <= LARGEST_UPLOAD) {
      const chunk = this.#reserve(bytes)
      const start = this.#used - roundUp(bytes)
      new Uint8Array(chunk.words, start, data.byteLength).set(data)
      this.copyWords(chunk.block, start / 4, block, bytes / 4)
      return
    }
    if (this.#touched.has(block.id)) {
      this.flush()
    }
    this.#writeNow(block, data, bytes)
  }

  /** Calls `fn` once the commands recorded so far are with the device. */
  afterSubmit(fn: () => void): void {
    this.#afterSubmit.push(fn)
    this.#schedule()
  }

  /** Hands everything recorded to the device. */
  flush(): void {
    if (this.#encoder) {
      this.#closePass()
      this.#chunks.slice(0, this.#chunk + 1).forEach((chunk, i) => {
        const bytes = i === this.#chunk ? this.#used : CHUNK_BYTES
        this.#device.queue.writeBuffer(chunk.block.buffer, 0, chunk.words, 0, bytes)
      })
      this.#device.queue.submit([this.#encoder.finish()])
      this.#encoder = undefined
      this.#chunk = 0
      this.#used = 0
      this.#length = 0
      this.#touched.clear()
    }
    const callbacks = this.#afterSubmit
    this.#afterSubmit = []
    for (const callback of callbacks) {
      callback()
    }
  }

  #writeNow(block: Block, data: Uint8Array, bytes: number): void {
    const { buffer, offset } = block
    const whole = data.byteLength === bytes ? data : new Uint8Array(bytes)
    if (whole !== data) {
      whole.set(data)
    }
    const { buffer: memory, byteOffset } = whole
    this.#device.queue.writeBuffer(buffer, offset, memory, byteOffset, bytes)
  }

  #reserve(bytes: number): Chunk {
    this.#health.check()
    const size = roundUp(bytes)
    if (this.#used + size > CHUNK_BYTES) {
      this.#chunk++
      this.#used = 0
    }
    this.#chunks[this.#chunk] ??= this.#newChunk()
    this.#used += size
    return this.#chunks[this.#chunk]
  }

  #newChunk(): Chunk {
    const { GPUBufferUsage: usage } = this.#health.constants
    const buffer = this.#device.createBuffer({
      size: CHUNK_BYTES,
      usage: usage.UNIFORM | usage.STORAGE | usage.COPY_DST,
    })
    this.#pool.created++
    this.#pool.reserved += CHUNK_BYTES
    const group = this.#device.createBindGroup({
      layout: this.parameterLayout,
      entries: [{ binding: 0, resource: { buffer, size: PARAMETER_BYTES } }],
    })
    const words = new ArrayBuffer(CHUNK_BYTES)
    return {
      block: { buffer, id: -1 - this.#chunks.length, offset: 0, bytes: CHUNK_BYTES },
      group,
      words,
      u32: new Uint32Array(words),
      i32: new Int32Array(words),
      f32: new Float32Array(words),
    }
  }

  #bindGroup({ layout, id }: Executable, blocks: readonly Block[]): GPUBindGroup {
    let key = `${id}`
    for (const { id: buffer, offset, bytes } of blocks) {
      key += offset === 0 ? `,${buffer}` : `,${buffer}@${offset}+${bytes}`
    }
    const known = this.#groups.get(key)
    if (known) {
      return known
    }
    if (this.#groups.size >= MOST_BIND_GROUPS) {
      this.#groups.clear()
    }
    const made = this.#device.createBindGroup({
      layout,
      entries: blocks.map(({ buffer, offset, bytes }, binding) => ({
        binding,
        resource: { buffer, offset, size: bytes },
      })),
    })
    this.#groups.set(key, made)
    return made
  }

  #encode(): GPUCommandEncoder {
    this.#encoder ??= this.#device.createCommandEncoder()
    this.#schedule()
    return this.#encoder
  }

  #open(): GPUComputePassEncoder {
    this.#pass ??= this.#encode().beginComputePass()
    return this.#pass
  }

  #closePass(): void {
    this.#pass?.end()
    this.#pass = undefined
  }

  #count(): void {
    this.#length++
    if (this.#length >= LONGEST) {
      this.flush()
    }
  }

  #schedule(): void {
    if (!this.#scheduled) {
      this.#scheduled = true
      queueMicrotask(() => {
        this.#scheduled = false
        this.flush()
      })
    }
  }
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT
}

// The WebGPU backend: float32 kernels in WGSL. A step is recorded and handed over as a whole; nothing
// waits for the device but what reads. Same results every time on one device, but no promise of bits
// across devices: they may fuse a multiplication with an addition.

import type { Floats, KernelSet, MemoryReport } from '../../core/backend.ts'
import { BYTES, type DType, type TypedArray } from '../../core/dtype.ts'
import { LowrankError } from '../../core/errors.ts'
import { Commands } from './commands.ts'
import { copyWords } from './copy.ts'
import { Health } from './health.ts'
import type { WebGpuBackend } from './index.ts'
import { kernelSources } from './kernels.ts'
import { Machine } from './machine.ts'
import { ALIGNMENT, type Block, Pool } from './pool.ts'
import type { Kernel } from './program.ts'
import { Reader } from './reader.ts'

export interface DeviceLimits {
  readonly maxBufferSize: number
  readonly maxStorageBufferBindingSize: number
  readonly maximumBytes: number
}

const block = (buffer: Floats): Block => buffer as unknown as Block
const handle = (room: Block): Floats => room as unknown as Floats

function bytesOf(dtype: DType, count: number): number {
  return Math.ceil((count * BYTES[dtype]) / 4) * 4
}

export class DeviceBackend implements WebGpuBackend {
  readonly name: string = 'webgpu'
  readonly reproducible: boolean = false
  readonly synchronous: boolean = false
  readonly precision = 32
  readonly lost: Promise<LowrankError>
  readonly #device: GPUDevice
  readonly #health: Health
  readonly #pool: Pool
  readonly #commands: Commands
  readonly #machine: Machine
  readonly #reader: Reader
  readonly #kernels: Map<string, Kernel> = new Map()
  readonly #sets: WeakMap<object, object> = new WeakMap()
  readonly #scratch: Block

  constructor(device: GPUDevice, limits: DeviceLimits) {
    this.#device = device
    this.#health = new Health(device)
    this.lost = this.#health.lost
    this.#pool = new Pool(device, this.#health, limits)
    this.#commands = new Commands(device, this.#pool, this.#health)
    this.#machine = new Machine(
      device,
      this.#commands,
      this.#pool,
      limits.maxStorageBufferBindingSize,
    )
    this.#commands.copyWords = this.#machine.program(copyWords)
    this.#reader = new Reader(device, this.#commands, this.#pool, this.#health)
    this.#scratch = { buffer: undefined as unknown as GPUBuffer, id: 0, offset: 0, bytes: 0 }
  }

  kernels<K>(set: KernelSet<K>): K {
    this.#health.check()
    const known = this.#sets.get(set)
    if (known) {
      return known as K
    }
    const made: Record<string, Kernel> = {}
    for (const name of Object.keys(set.reference as object)) {
      made[name] = this.#kernel(set.name, name)
    }
    this.#sets.set(set, made)
    return made as K
  }

  allocate(dtype: DType, count: number): Floats {
    return handle(this.#pool.allocate(bytesOf(dtype, count)))
  }

  release(buffer: Floats): void {
    this.#pool.release(block(buffer))
  }

  /** Moves a small result out of what steps reuse; a larger one, or one without room, stays where it is. */
  keep(buffer: Floats): Floats {
    const from = block(buffer)
    const place = from.bytes > ALIGNMENT ? undefined : this.#pool.place()
    if (!place) {
      return buffer
    }
    this.#commands.copy(from, place, ALIGNMENT)
    this.#pool.release(from)
    return handle(place)
  }

  write(buffer: Floats, _dtype: DType, data: TypedArray): void {
    const { buffer: memory, byteOffset, byteLength } = data
    this.#commands.upload(block(buffer), new Uint8Array(memory, byteOffset, byteLength))
  }

  read(): TypedArray {
    throw new LowrankError(
      'backend',
      'dataSync: webgpu cannot be read without waiting (use await data(); for what looks at weights at ' +
        'once, such as merge, await onCpu(model, () => …) of lowrank/lora)',
    )
  }

  async readAsync(buffer: Floats, dtype: DType, count: number): Promise<TypedArray> {
    const memory = await this.#reader.read(block(buffer), bytesOf(dtype, count))
    if (dtype === 'float32') {
      return new Float32Array(memory, 0, count)
    }
    return dtype === 'int32' ? new Int32Array(memory, 0, count) : new Uint16Array(memory, 0, count)
  }

  /** Kernels here take the room that they need themselves. */
  scratch(): Floats {
    return handle(this.#scratch)
  }

  memory(): MemoryReport {
    const { used, peak, reserved } = this.#pool
    return { backend: this.name, reproducible: this.reproducible, used, peak, reserved }
  }

  resetPeak(): void {
    this.#pool.peak = this.#pool.used
  }

  flush(): void {
    this.#commands.flush()
  }

  dispose(): void {
    this.#device.destroy()
  }

  #kernel(op: string, name: string): Kernel {
    const known = this.#kernels.get(name)
    if (known) {
      return known
    }
    const source = kernelSources[name]
    if (!source) {
      throw new LowrankError('backend', `${op}: the webgpu backend has no kernel "${name}"`)
    }
    const kernel = this.#machine.kernel(source)
    this.#kernels.set(name, kernel)
    return kernel
  }
}

// A WebGPU backend that can be waited for: the device lives in a worker thread (Dawn) or in Chromium,
// calls are sent there in batches, and a read blocks until the answer is here. So the suites that read
// at once, those of the ops, of LoRA and of the golden data, run on WebGPU as they are.

import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads'
import { rolldown } from 'rolldown'
import { kernelSources } from '../../../src/backends/webgpu/kernels.ts'
import { sizeClass } from '../../../src/backends/webgpu/pool.ts'
import type { Backend, Floats, KernelSet, MemoryReport } from '../../../src/core/backend.ts'
import { BYTES, type DType, type TypedArray } from '../../../src/core/dtype.ts'
import { type ErrorCode, LowrankError } from '../../../src/core/errors.ts'
import type { Call, Operand } from './host.ts'
import type { Answer } from './serve.ts'

export type Place = 'dawn' | 'chromium'

const LONGEST_BATCH = 2000
const PATIENCE = 120_000

class RemoteBuffer {
  readonly id: number
  readonly bytes: number

  constructor(id: number, bytes: number) {
    this.id = id
    this.bytes = bytes
  }
}

const remote = (buffer: Floats): RemoteBuffer => buffer as unknown as RemoteBuffer

class RemoteBackend implements Backend {
  readonly name: string = 'webgpu'
  readonly reproducible: boolean = false
  readonly synchronous: boolean = true
  readonly precision = 32
  readonly #state: Int32Array
  readonly #port: MessagePort
  #calls: Call[] = []
  #ids = 0
  #silent = false
  #used = 0
  #peak = 0

  constructor(state: Int32Array, port: MessagePort) {
    this.#state = state
    this.#port = port
  }

  kernels<K>(set: KernelSet<K>): K {
    const kernels: Record<string, (...operands: (number | RemoteBuffer)[]) => void> = {}
    for (const name of Object.keys(set.reference as object)) {
      if (!kernelSources[name]) {
        throw new LowrankError('backend', `${set.name}: the webgpu backend has no kernel "${name}"`)
      }
      kernels[name] = (...operands) => {
        const sent = operands.map(item =>
          item instanceof RemoteBuffer ? ([item.id] as const) : item,
        )
        this.#send(['kernel', name, sent as Operand[]])
      }
    }
    return kernels as K
  }

  allocate(dtype: DType, count: number): Floats {
    const buffer = new RemoteBuffer(this.#ids++, sizeClass(count * BYTES[dtype]))
    this.#used += buffer.bytes
    this.#peak = Math.max(this.#peak, this.#used)
    this.#send(['allocate', buffer.id, dtype, count])
    return buffer as unknown as Floats
  }

  release(buffer: Floats): void {
    this.#used -= remote(buffer).bytes
    this.#send(['release', remote(buffer).id])
  }

  write(buffer: Floats, dtype: DType, data: TypedArray): void {
    this.#send(['write', remote(buffer).id, dtype, data.slice()])
  }

  read(buffer: Floats, dtype: DType, count: number): TypedArray {
    this.#calls.push(['read', remote(buffer).id, dtype, count])
    return this.#wait() as TypedArray
  }

  async readAsync(buffer: Floats, dtype: DType, count: number): Promise<TypedArray> {
    return this.read(buffer, dtype, count)
  }

  scratch(): Floats {
    return 0 as unknown as Floats
  }

  memory(): MemoryReport {
    const { name: backend, reproducible } = this
    return { backend, reproducible, used: this.#used, peak: this.#peak, reserved: this.#used }
  }

  resetPeak(): void {
    this.#peak = this.#used
  }

  /** Waits for the device; throws where there is none. */
  ready(): void {
    this.#wait()
  }

  #send(call: Call): void {
    this.#calls.push(call)
    if (this.#calls.length >= LONGEST_BATCH) {
      this.#wait()
    }
  }

  #wait(): TypedArray | undefined {
    if (this.#silent) {
      throw new Error('the device has stopped answering')
    }
    const calls = this.#calls
    this.#calls = []
    Atomics.store(this.#state, 0, 0)
    this.#port.postMessage(calls)
    // A wake-up may be that of the answer before: the state alone says whether one is here.
    while (Atomics.load(this.#state, 0) === 0) {
      if (Atomics.wait(this.#state, 0, 0, PATIENCE) === 'timed-out') {
        // A late answer would be taken for that of the next question.
        this.#silent = true
        throw new Error(`no answer from the device in ${PATIENCE / 1000} s`)
      }
    }
    const { data, error }: Answer = receiveMessageOnPort(this.#port)?.message ?? {}
    if (error) {
      throw error.code
        ? new LowrankError(error.code as ErrorCode, error.message)
        : new Error(error.message)
    }
    return data
  }
}

const source = (name: string): string => fileURLToPath(new URL(`./${name}.ts`, import.meta.url))

async function bundled(name: string, folder: string): Promise<string> {
  const bundle = await rolldown({
    input: source(name),
    external: [/^node:/, 'playwright-core'],
    logLevel: 'silent',
  })
  const file = join(folder, `${name}.mjs`)
  await bundle.write({ file, format: 'esm' })
  await bundle.close()
  return file
}

const DAWN = new URL('../../webgpu/node_modules/webgpu/index.js', import.meta.url)
const SWIFTSHADER = '/usr/lib/chromium/vk_swiftshader_icd.json'
const CHROMIUM = '/usr/bin/chromium'

/** A backend on the device of `place`; throws where it is not installed or has no device. */
export async function remoteWebGpu(place: Place): Promise<Backend> {
  const needed = place === 'dawn' ? [fileURLToPath(DAWN), SWIFTSHADER] : [CHROMIUM]
  const missing = needed.filter(file => !existsSync(file))
  if (missing.length > 0) {
    throw new Error(`${missing.join(' and ')} not installed`)
  }
  process.env.VK_ICD_FILENAMES ??= SWIFTSHADER
  // Bundled inside the project, for the worker to find the packages of the project.
  const root = fileURLToPath(new URL('../../../node_modules/', import.meta.url))
  const folder = mkdtempSync(join(place === 'dawn' ? tmpdir() : root, '.webgpu-'))
  const file = await bundled(place, folder)
  const page = place === 'chromium' ? await bundled('page', folder) : undefined
  const state = new Int32Array(new SharedArrayBuffer(4))
  const { port1, port2 } = new MessageChannel()
  const workerData = { state, port: port2, dawn: DAWN.href, chromium: CHROMIUM, page }
  const worker = new Worker(file, { workerData, transferList: [port2] })
  worker.unref()
  port1.unref()
  const backend = new RemoteBackend(state, port1)
  try {
    backend.ready()
    return backend
  } finally {
    // By now the far side has read its code.
    rmSync(folder, { recursive: true, force: true })
  }
}

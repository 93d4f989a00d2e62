// What can go wrong on a device after a call has returned: memory that was not there, a device that is
// lost, a command that was refused. The first failure stays; everything asked of the backend afterwards
// throws it. Parameters that JavaScript holds or that were saved are not touched by it.

import { LowrankError } from '../../core/errors.ts'

/** Numbers that WebGPU keeps in globals, which not every runtime has; they are fixed by the standard. */
export interface Constants {
  readonly GPUBufferUsage: typeof BUFFER_USAGE
}

const BUFFER_USAGE = {
  MAP_READ: 0x1,
  COPY_SRC: 0x4,
  COPY_DST: 0x8,
  UNIFORM: 0x40,
  STORAGE: 0x80,
} as const

const ADVICE = 'load what was saved last into a new webgpu() or the default backend, wasm'

export class Health {
  readonly constants: Constants = { GPUBufferUsage: BUFFER_USAGE }
  /** Resolves with the error when the device is lost. */
  readonly lost: Promise<LowrankError>
  readonly #pending: Set<Promise<void>> = new Set()
  #failure: LowrankError | undefined

  constructor(device: GPUDevice) {
    this.lost = device.lost.then(({ message, reason }) => {
      const cause = message || reason || 'no reason given'
      const error = new LowrankError(
        'backend',
        `webgpu: the device was lost: ${cause} (what was on it is gone: ${ADVICE})`,
      )
      this.#failure ??= error
      return error
    })
    device.addEventListener('uncapturederror', event => {
      const { error } = event as GPUUncapturedErrorEvent
      this.#failure ??= new LowrankError(
        'backend',
        `webgpu: the device refused a command: ${error.message} (${ADVICE})`,
      )
    })
  }

  /** Throws what has failed. */
  check(): void {
    if (this.#failure) {
      throw this.#failure
    }
  }

  /** Waits until it is known whether what was asked for so far was there, then checks. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending)
    this.check()
  }

  /** Notes a failure if an error scope around an allocation caught one. */
  expectMemory(scope: Promise<GPUError | null>, bytes: number): void {
    const settled = scope.then(
      error => {
        this.#pending.delete(settled)
        if (error) {
          // Commands on a buffer that is not there fail too: the cause replaces them.
          this.#failure = new LowrankError(
            'memory',
            `webgpu: the device has no ${bytes} bytes left: ${error.message} ` +
              `(use a smaller batch or checkpoint(); ${ADVICE})`,
          )
        }
      },
      () => {
        this.#pending.delete(settled)
      },
    )
    this.#pending.add(settled)
  }
}

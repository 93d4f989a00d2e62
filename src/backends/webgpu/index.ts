// The public entry `lowrank/webgpu`: a backend on the graphics processor of the machine. Its types name
// none of WebGPU's own, which not every TypeScript knows.

import type { Backend } from '../../core/backend.ts'
import { LowrankError, throwAll } from '../../core/errors.ts'
import { DeviceBackend } from './backend.ts'
import { ALIGNMENT } from './pool.ts'

export interface WebGpuOptions {
  /** What stands in for `navigator.gpu`, in Node and Bun that of the npm package `webgpu`. */
  readonly gpu?: object
  readonly powerPreference?: 'low-power' | 'high-performance'
  /** The most bytes of device memory to take, at least 256; as many as there are if absent. */
  readonly maximumBytes?: number
  /** The most bytes of a buffer that one kernel sees, at least 256, where it should be less than the device's. */
  readonly maximumBindingBytes?: number
}

/** A backend on a device. */
export interface WebGpuBackend extends Backend {
  /** Resolves with what happened if the device is lost. */
  readonly lost: Promise<LowrankError>
  /** Hands recorded work to the device now; it goes there by itself when the running turn ends. */
  flush(): void
  /** Gives the device back; the backend cannot be used afterwards. */
  dispose(): void
}

const ABSENT =
  'webgpu: expected a WebGPU device, got none (browsers need a secure page and hardware they support, ' +
  'Node and Bun the npm package "webgpu" as { gpu }; the default backend, wasm, runs everywhere)'

// In Node the devices of a GPU object end with it: it lives as long as its backends.
const held: WeakMap<WebGpuBackend, object> = /* @__PURE__ */ new WeakMap()

/** The limits worth asking for: as much as the device has of them. */
const WANTED = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
] as const

function checkLimits(limits: Readonly<Record<string, number | undefined>>): void {
  const problems = Object.entries(limits)
    .filter(([, bytes = ALIGNMENT]) => typeof bytes !== 'number' || !(bytes >= ALIGNMENT))
    .map(([name, bytes]) => `${name}: expected a number of at least ${ALIGNMENT}, got ${bytes}`)
  throwAll('argument', 'webgpu', problems)
}

/**
 * A backend that keeps tensors and whole training steps on the GPU. Only `await tensor.data()` reads.
 * Throws a `backend` error where there is no device, an `argument` error for limits below 256 bytes.
 *
 * @example
 * ```ts
 * import { setBackend } from 'lowrank'
 * import { webgpu } from 'lowrank/webgpu'
 *
 * if (globalThis.navigator && 'gpu' in navigator) setBackend(await webgpu())
 * ```
 */
export async function webgpu(options: WebGpuOptions = {}): Promise<WebGpuBackend> {
  const { maximumBytes, maximumBindingBytes } = options
  checkLimits({ maximumBytes, maximumBindingBytes })
  const gpu = (options.gpu ?? globalThis.navigator?.gpu) as GPU | undefined
  const { powerPreference } = options
  const hardware = await gpu?.requestAdapter(powerPreference ? { powerPreference } : {})
  if (!hardware) {
    throw new LowrankError('backend', ABSENT)
  }
  const requiredLimits = Object.fromEntries(WANTED.map(name => [name, hardware.limits[name]]))
  const device = await hardware.requestDevice({ requiredLimits })
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits
  const backend = new DeviceBackend(device, {
    maxBufferSize,
    maxStorageBufferBindingSize: Math.min(
      maxStorageBufferBindingSize,
      maximumBindingBytes ?? Number.POSITIVE_INFINITY,
    ),
    maximumBytes: maximumBytes ?? Number.POSITIVE_INFINITY,
  })
  held.set(backend, gpu as object)
  return backend
}

// The public entry `lowrank/wasm`: a WASM backend of one's own, beside the default one.

import type { Backend } from '../../core/backend.ts'
import { WasmBackend } from './backend.ts'
import { binary as core } from './binaries/core.ts'

export interface WasmBackendOptions {
  /** The most bytes its memory may grow to; 4 GiB if absent. */
  readonly maximumBytes?: number
}

/**
 * A WASM backend with a memory of its own. Throws a `backend` error where WASM is refused.
 *
 * @example
 * ```ts
 * import { setBackend } from 'lowrank'
 * import { wasm } from 'lowrank/wasm'
 *
 * setBackend(wasm({ maximumBytes: 256 * 1024 * 1024 }))
 * setBackend(undefined)
 * ```
 */
export function wasm(options: WasmBackendOptions = {}): Backend {
  return new WasmBackend({ ...options, core })
}

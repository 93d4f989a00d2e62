// The public entry `lowrank/wasm`: a WASM backend of one's own, beside the default one.

import { binary as core } from '#kernels/core'
import type { Backend } from '../../core/backend.ts'
import { WasmBackend } from './backend.ts'
import { checkModules, instantiateFrom, type Modules } from './modules.ts'

export type { Modules } from './modules.ts'

export interface WasmBackendOptions {
  /** The most bytes its memory may grow to; 4 GiB if absent. */
  readonly maximumBytes?: number
  /**
   * Compiled binaries by family, for hosts that refuse to compile: the package exports them as
   * `lowrank/wasm/core.wasm` and so on. A family that is absent is compiled from inlined bytes.
   */
  readonly modules?: Modules
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
  const { modules, maximumBytes } = options
  if (!modules) {
    return new WasmBackend({ core, maximumBytes })
  }
  checkModules(modules)
  return new WasmBackend({ core, maximumBytes, instantiate: instantiateFrom(modules) })
}

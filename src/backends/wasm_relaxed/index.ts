// The public entry `lowrank/wasm-relaxed`: the WASM backend with products in relaxed SIMD, where a CPU may
// multiply and add in one operation with one rounding. Faster where it does; the bits are those of the CPU and
// the engine, so `memory()`, logs and metadata say `wasm-relaxed` and not reproducible. An entry of its
// own, since one relaxed instruction makes a whole binary invalid where they are not known.
// Source: github.com/WebAssembly/relaxed-simd.

import { core as plainCore } from '#kernels/core'
import type { Backend } from '../../core/backend.ts'
import { LowrankError } from '../../core/errors.ts'
import { WasmBackend } from '../wasm/backend.ts'
import { binary as core } from './binaries/core.ts'

export interface RelaxedOptions {
  /** Whether products may be fused; false if absent, which gives the ordinary backend. */
  readonly relaxed?: boolean
  /** The most bytes its memory may grow to, 256 KiB to 4 GiB; 4 GiB if absent. */
  readonly maximumBytes?: number
}

class RelaxedBackend extends WasmBackend {
  override readonly name: string = 'wasm-relaxed'
  override readonly reproducible: boolean = false
}

/** Whether this engine knows relaxed SIMD. */
export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(core.bytes?.() as Uint8Array<ArrayBuffer>)
}

/**
 * A WASM backend with a memory of its own, with products in relaxed SIMD where `relaxed` is true. Throws a
 * `backend` error where the engine does not know relaxed SIMD, or refuses WASM; an `argument` error for a
 * `maximumBytes` that is out of its range.
 *
 * @example
 * ```ts
 * import { hasRelaxedSimd, wasm } from 'lowrank/wasm-relaxed'
 *
 * const backend = wasm({ relaxed: hasRelaxedSimd() })
 * console.log(backend.memory().reproducible === !hasRelaxedSimd()) // true
 * ```
 */
export function wasm(options: RelaxedOptions = {}): Backend {
  const { relaxed = false, maximumBytes } = options
  if (!relaxed) {
    return new WasmBackend({ core: plainCore, maximumBytes })
  }
  if (!hasRelaxedSimd()) {
    throw new LowrankError(
      'backend',
      'wasm: expected an engine with relaxed SIMD, got one without (leave `relaxed` out; ' +
        'Node 20 has it behind --experimental-wasm-relaxed-simd, later versions without)',
    )
  }
  return new RelaxedBackend({ core, maximumBytes })
}

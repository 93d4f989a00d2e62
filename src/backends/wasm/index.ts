// The public entry `lowrank/wasm`: a WASM backend of one's own, beside the default one.

import { core } from '#kernels/core'
import type { Backend } from '../../core/backend.ts'
import { LowrankError } from '../../core/errors.ts'
import { WasmBackend } from './backend.ts'
import { checkModules, instantiateFrom, type Modules } from './modules.ts'
import { ThreadedBackend } from './threads/backend.ts'

export type { Modules } from './modules.ts'

export interface WasmBackendOptions {
  /** The most bytes its memory may grow to, 256 KiB to 4 GiB; 4 GiB if absent. */
  readonly maximumBytes?: number
  /**
   * Compiled binaries by family, for hosts that refuse to compile: the package exports them as
   * `lowrank/wasm/core.wasm` and so on. `core` is always needed (products, linear layers, sums, dropout,
   * optimizers); the others by what a program calls: `arithmetic` (`add`, `sub`, `mul`, `div`, `maximum`,
   * `minimum`, `where`, `maskedFill`), `elementwise` (`neg`, `pow` and functions of one tensor),
   * `reductions` (`softmax`, `max`, `prod`, `gather`, `clipGradNorm`), `indexing` (slices, `cat`,
   * permutations, what expands or reduces along other axes than the last, `indexSelect`), `layer_norm`,
   * `losses` (`klDiv`, `binaryCrossEntropyWithLogits`), `conv`, `transformer` (attention, embeddings,
   * RMSNorm, RoPE, SwiGLU, cross entropy) and `adafactor`. A family that is absent is compiled from
   * inlined bytes when an op first needs it; where that is refused, the error names it.
   */
  readonly modules?: Modules
  /**
   * Threads, the caller's own included; 1 if absent. Rows of a product are split among them, so that
   * the bits do not depend on their number. Pages must be cross-origin isolated.
   */
  readonly threads?: number
}

/** A backend of one's own, which can be told to end its threads. */
export interface DisposableBackend extends Backend {
  /** Ends the workers, if there are any; what is computed afterwards is computed by the caller. */
  dispose(): void
}

/**
 * A WASM backend with a memory of its own. Throws a `backend` error where WASM is refused, or where
 * threads are asked for and cannot share memory; an `argument` error for options that do not fit.
 *
 * @example
 * ```ts
 * import { setBackend } from 'lowrank'
 * import { wasm } from 'lowrank/wasm'
 *
 * const backend = wasm({ maximumBytes: 256 * 1024 * 1024, threads: 2 })
 * setBackend(backend)
 * setBackend(undefined)
 * backend.dispose()
 * ```
 */
export function wasm(options: WasmBackendOptions = {}): DisposableBackend {
  const { modules, maximumBytes, threads = 1 } = options
  if (threads !== 1) {
    refuseModules(modules)
    return new ThreadedBackend(core, threads, maximumBytes)
  }
  if (!modules) {
    return new WasmBackend({ core, maximumBytes })
  }
  checkModules(modules)
  return new WasmBackend({ core, maximumBytes, instantiate: instantiateFrom(modules) })
}

function refuseModules(modules: Modules | undefined): void {
  if (modules) {
    throw new LowrankError(
      'argument',
      'wasm: expected modules or threads, got both (threads compile the binaries for shared memory)',
    )
  }
}

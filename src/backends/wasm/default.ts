// The default backend, reached through the package-internal import `#kernels`: WASM where the
// engine allows it, else the reference loops for inference, after one warning.

import { core } from '#kernels/core'
import type { Backend } from '../../core/backend.ts'
import { reference } from '../reference/index.ts'
import { WasmBackend } from './backend.ts'

export function createDefaultBackend(): Backend {
  try {
    return new WasmBackend({ core })
  } catch (error) {
    const reason = (error as Error).message
    console.warn(
      `lowrank: ${reason}. Inference goes on with the reference loops, slowly; ` +
        'training is refused unless you choose them: setBackend(reference()).',
    )
    return reference({ inferenceOnly: reason })
  }
}

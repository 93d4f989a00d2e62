// Every backend that is present here. Suites are functions of a backend and run over all of them;
// one that is absent is printed, so that a run never looks more complete than it was.

import { reference } from '../../src/backends/reference/index.ts'
import { wasm } from '../../src/backends/wasm/index.ts'
import type { Backend } from '../../src/core/backend.ts'
import type { Place } from './webgpu/remote.ts'

export interface NamedBackend {
  readonly name: string
  readonly make: () => Backend
}

/** Where LOWRANK_WEBGPU says: suites then run on WebGPU alone, in Dawn or in Chromium. */
async function webgpuIn(place: Place): Promise<NamedBackend[]> {
  const { remoteWebGpu } = await import('./webgpu/remote.ts')
  const made = await remoteWebGpu(place).catch((error: Error) => error)
  const make = (): Backend => {
    if (made instanceof Error) {
      throw made
    }
    return made
  }
  return [{ name: 'webgpu', make }]
}

const place = process.env.LOWRANK_WEBGPU as Place | undefined

const known: readonly NamedBackend[] = place
  ? await webgpuIn(place)
  : [
      { name: 'reference', make: () => reference() },
      { name: 'wasm', make: () => wasm() },
    ]

function present({ name, make }: NamedBackend): boolean {
  try {
    make()
    return true
  } catch (error) {
    console.warn(`skipped: backend ${name} is absent: ${(error as Error).message}`)
    return false
  }
}

export const backends: readonly NamedBackend[] = known.filter(present)

// The default backend of suites that name none, while they run on WebGPU.

import type { Backend } from '../../../src/core/backend.ts'
import { type Place, remoteWebGpu } from './remote.ts'

const backend = await remoteWebGpu((process.env.LOWRANK_WEBGPU ?? 'dawn') as Place)

export function createDefaultBackend(): Backend {
  return backend
}

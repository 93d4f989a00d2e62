// A worker thread with Dawn in it: answers batches of calls, so that a test may wait for them.

import { workerData } from 'node:worker_threads'
import { webgpu } from '../../../src/backends/webgpu/index.ts'
import { Host } from './host.ts'
import { serve } from './serve.ts'

const { create } = await import(workerData.dawn)
const gpu = create([])
const host = await webgpu({ gpu }).then(
  backend => new Host(backend),
  (error: Error) => error,
)
serve(workerData.port, workerData.state, async calls => {
  if (host instanceof Error) {
    throw host
  }
  return host.run(calls)
})

// Dawn in this process, for tests of what only the real, asynchronous backend has. Its calls are
// counted. Absent unless LOWRANK_WEBGPU is `dawn`.

import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const DAWN = new URL('../../webgpu/node_modules/webgpu/index.js', import.meta.url)

export interface Counts {
  buffers: number
  layouts: number
  pipelines: number
  submits: number
  maps: number
}

/** Whether tests on Dawn run; says so where they do not. */
export function hasDawn(): boolean {
  const wanted = process.env.LOWRANK_WEBGPU === 'dawn' && existsSync(fileURLToPath(DAWN))
  if (!wanted) {
    console.warn('skipped: backend webgpu is absent (npm run test:webgpu)')
  }
  return wanted
}

// biome-ignore lint/suspicious/noExplicitAny: methods of foreign objects are replaced
type Foreign = any

function countCalls(object: Foreign, method: string, count: () => void): void {
  const original = object[method].bind(object)
  object[method] = (...parameters: unknown[]) => {
    count()
    return original(...parameters)
  }
}

function countDevice(device: Foreign, counts: Counts): void {
  const createBuffer = device.createBuffer.bind(device)
  device.createBuffer = (descriptor: unknown) => {
    counts.buffers++
    const buffer = createBuffer(descriptor)
    countCalls(buffer, 'mapAsync', () => counts.maps++)
    return buffer
  }
  countCalls(device, 'createBindGroupLayout', () => counts.layouts++)
  countCalls(device, 'createComputePipeline', () => counts.pipelines++)
  countCalls(device.queue, 'submit', () => counts.submits++)
}

/** Keeps GPU objects alive: with one of them its devices would go. */
const held: unknown[] = []

/** A GPU object whose devices are counted, and may be changed before the backend sees them. */
export async function countedGpu(
  change: (device: Foreign) => void = () => undefined,
): Promise<{ gpu: object; counts: Counts }> {
  process.env.VK_ICD_FILENAMES ??= '/usr/lib/chromium/vk_swiftshader_icd.json'
  const { create } = await import(DAWN.href)
  const gpu = create([])
  held.push(gpu)
  const counts: Counts = { buffers: 0, layouts: 0, pipelines: 0, submits: 0, maps: 0 }
  const requestAdapter = async (): Promise<unknown> => {
    const hardware = await gpu.requestAdapter()
    return {
      limits: hardware.limits,
      requestDevice: async (descriptor: unknown) => {
        const device = await hardware.requestDevice(descriptor)
        countDevice(device, counts)
        change(device)
        return device
      },
    }
  }
  return { gpu: { requestAdapter }, counts }
}

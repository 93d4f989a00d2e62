// The far side in a page: answers batches of calls with their data as base64.

import { webgpu } from '../../../src/backends/webgpu/index.ts'
import type { DType, TypedArray } from '../../../src/core/dtype.ts'
import { type Call, Host } from './host.ts'

const host = webgpu().then(backend => new Host(backend))

function bytesOf(text: string): ArrayBuffer {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer
}

function arrayOf(dtype: DType, bytes: ArrayBuffer): TypedArray {
  const Type = {
    float32: Float32Array,
    int32: Int32Array,
    float16: Uint16Array,
    bfloat16: Uint16Array,
  }
  return new Type[dtype](bytes)
}

function textOf({ buffer, byteOffset, byteLength }: TypedArray): string {
  let text = ''
  for (const byte of new Uint8Array(buffer, byteOffset, byteLength)) {
    text += String.fromCharCode(byte)
  }
  return btoa(text)
}

async function run(calls: readonly (readonly unknown[])[]): Promise<object> {
  try {
    const decoded = calls.map(call => {
      const [verb, buffer, dtype, data] = call
      return verb === 'write'
        ? [verb, buffer, dtype, arrayOf(dtype as DType, bytesOf(data as string))]
        : call
    })
    const data = await (await host).run(decoded as unknown as readonly Call[])
    return { data: data && textOf(data) }
  } catch (error) {
    const { code, message, stack } = error as Error & { code?: string }
    return { error: { code, message: code ? message : String(stack) } }
  }
}

Object.assign(globalThis, { run })

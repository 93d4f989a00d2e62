// Golden cases: FAMILY/NAME.json beside FAMILY/NAME.safetensors under test/golden. The reader here is
// a minimal one on purpose: the library's own must not vouch for itself.

import { readdirSync, readFileSync } from 'node:fs'
import { widen } from '../../src/core/half.ts'

export { scaledError } from '../../src/conformance/compare.ts'

export interface GoldenTensor {
  readonly dtype: string
  readonly shape: number[]
  /** Integers and booleans as Int32Array; half precision widened. */
  readonly data: Float64Array | Float32Array | Int32Array
}

export interface GoldenCase {
  readonly name: string
  // biome-ignore lint/suspicious/noExplicitAny: each family has fields of its own
  readonly json: any
  readonly tensors: Map<string, GoldenTensor>
}

const root = new URL('../golden/', import.meta.url)

function decode(dtype: string, bytes: Uint8Array): GoldenTensor['data'] {
  const buffer = new Uint8Array(bytes).buffer
  switch (dtype) {
    case 'F64':
      return new Float64Array(buffer)
    case 'F32':
      return new Float32Array(buffer)
    case 'F16':
      return widen(new Uint16Array(buffer), 'float16')
    case 'BF16':
      return widen(new Uint16Array(buffer), 'bfloat16')
    case 'I64':
      return Int32Array.from(new BigInt64Array(buffer), Number)
    case 'I32':
      return new Int32Array(buffer)
    case 'I16':
      return Int32Array.from(new Int16Array(buffer))
    case 'I8':
      return Int32Array.from(new Int8Array(buffer))
    case 'U8':
    case 'BOOL':
      return Int32Array.from(new Uint8Array(buffer))
    default:
      throw new Error(`golden data of type ${dtype}`)
  }
}

export function readSafetensors(path: string | URL): Map<string, GoldenTensor> {
  const file = readFileSync(path)
  const headerLength = Number(file.readBigUInt64LE(0))
  const header = JSON.parse(file.subarray(8, 8 + headerLength).toString('utf8'))
  const tensors = new Map<string, GoldenTensor>()
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      continue
    }
    const { dtype, shape, data_offsets } = entry as {
      dtype: string
      shape: number[]
      data_offsets: [number, number]
    }
    const start = 8 + headerLength
    const bytes = file.subarray(start + data_offsets[0], start + data_offsets[1])
    tensors.set(name, { dtype, shape, data: decode(dtype, bytes) })
  }
  return tensors
}

/** All cases of a family that is stored as pairs of files; a family without any is an error. */
export function goldenCases(family: string): GoldenCase[] {
  const folder = new URL(`${family}/`, root)
  const names = readdirSync(folder)
    .filter(name => name.endsWith('.json'))
    .map(name => name.slice(0, -5))
    .sort()
  if (names.length === 0) {
    throw new Error(`no golden cases in ${folder.pathname}`)
  }
  return names.map(name => {
    const json = JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8'))
    let tensors = new Map<string, GoldenTensor>()
    try {
      tensors = readSafetensors(new URL(`${name}.safetensors`, folder))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
        throw error
      }
    }
    return { name, json, tensors }
  })
}

// GGUF version 3, little-endian: magic, version, number of tensors and of keys, the keys (name, type,
// value), the tensors' names, sizes (fastest first), types and places, then the data, each tensor at a
// multiple of 32 bytes.
// Source: github.com/ggml-org/ggml, docs/gguf.md.

import { fromNumbers } from '../../io/dtypes.ts'

export type GgufType = 'F32' | 'F16'

/** A value of a key: text, a float of 32 bits, or an unsigned integer of 32 bits. */
export type GgufValue =
  | { readonly type: 'STRING'; readonly value: string }
  | { readonly type: 'FLOAT32'; readonly value: number }
  | { readonly type: 'UINT32'; readonly value: number }

/** A row-major matrix [rows, cols]. */
export interface GgufTensor {
  readonly name: string
  readonly rows: number
  readonly cols: number
  readonly data: ArrayLike<number>
}

const ALIGNMENT = 32
const VALUE_TYPES = { UINT32: 4, FLOAT32: 6, STRING: 8 } as const
const TENSOR_TYPES = { F32: 0, F16: 1 } as const

class Bytes {
  readonly #parts: Uint8Array[] = []
  length = 0

  bytes(part: Uint8Array): void {
    this.#parts.push(part)
    this.length += part.length
  }

  uint32(value: number): void {
    this.bytes(this.#view(4, view => view.setUint32(0, value, true)))
  }

  uint64(value: number): void {
    this.bytes(this.#view(8, view => view.setBigUint64(0, BigInt(value), true)))
  }

  float32(value: number): void {
    this.bytes(this.#view(4, view => view.setFloat32(0, value, true)))
  }

  text(value: string): void {
    const encoded = new TextEncoder().encode(value)
    this.uint64(encoded.length)
    this.bytes(encoded)
  }

  align(): void {
    this.bytes(new Uint8Array((ALIGNMENT - (this.length % ALIGNMENT)) % ALIGNMENT))
  }

  joined(): Uint8Array {
    const all = new Uint8Array(this.length)
    let at = 0
    for (const part of this.#parts) {
      all.set(part, at)
      at += part.length
    }
    return all
  }

  #view(size: number, write: (view: DataView) => void): Uint8Array {
    const view = new DataView(new ArrayBuffer(size))
    write(view)
    return new Uint8Array(view.buffer)
  }
}

function writeValue(out: Bytes, { type, value }: GgufValue): void {
  out.uint32(VALUE_TYPES[type])
  if (type === 'STRING') {
    out.text(value)
  } else if (type === 'FLOAT32') {
    out.float32(value)
  } else {
    out.uint32(value)
  }
}

function paddedSize(size: number): number {
  return Math.ceil(size / ALIGNMENT) * ALIGNMENT
}

/** The bytes of a file with these keys and tensors, in their order. */
export function encodeGguf(
  keys: ReadonlyMap<string, GgufValue>,
  tensors: readonly GgufTensor[],
  type: GgufType,
): Uint8Array {
  const out = new Bytes()
  out.bytes(new TextEncoder().encode('GGUF'))
  out.uint32(3)
  out.uint64(tensors.length)
  out.uint64(keys.size)
  for (const [name, value] of keys) {
    out.text(name)
    writeValue(out, value)
  }
  const width = type === 'F32' ? 4 : 2
  let place = 0
  for (const { name, rows, cols } of tensors) {
    out.text(name)
    out.uint32(2)
    out.uint64(cols)
    out.uint64(rows)
    out.uint32(TENSOR_TYPES[type])
    out.uint64(place)
    place += paddedSize(rows * cols * width)
  }
  out.align()
  for (const { data } of tensors) {
    out.bytes(fromNumbers(data, type))
    out.align()
  }
  return out.joined()
}

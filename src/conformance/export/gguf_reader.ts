// A GGUF file taken apart, to compare two of them: keys with type and value, tensors with sizes (fastest
// first), type and bytes. Only the types that adapters have.
// Source: github.com/ggml-org/ggml, docs/gguf.md.

export interface GgufFile {
  readonly kv: Readonly<Record<string, { readonly type: string; readonly value: unknown }>>
  readonly tensors: ReadonlyMap<string, StoredGgufTensor>
}

export interface StoredGgufTensor {
  readonly dims: readonly number[]
  readonly type: 'F32' | 'F16'
  readonly bytes: Uint8Array
}

const VALUE_NAMES: Readonly<Record<number, string>> = { 4: 'UINT32', 6: 'FLOAT32', 8: 'STRING' }
const TYPE_NAMES: Readonly<Record<number, 'F32' | 'F16'>> = { 0: 'F32', 1: 'F16' }
const ALIGNMENT = 32

class Cursor {
  readonly #view: DataView
  readonly #bytes: Uint8Array
  at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  uint32(): number {
    this.at += 4
    return this.#view.getUint32(this.at - 4, true)
  }

  uint64(): number {
    this.at += 8
    return Number(this.#view.getBigUint64(this.at - 8, true))
  }

  float32(): number {
    this.at += 4
    return this.#view.getFloat32(this.at - 4, true)
  }

  text(): string {
    const length = this.uint64()
    this.at += length
    return new TextDecoder().decode(this.#bytes.subarray(this.at - length, this.at))
  }

  value(type: number): unknown {
    switch (VALUE_NAMES[type]) {
      case 'STRING':
        return this.text()
      case 'FLOAT32':
        return this.float32()
      case 'UINT32':
        return this.uint32()
      default:
        throw new Error(`a value of type ${type}`)
    }
  }
}

interface Place {
  readonly name: string
  readonly dims: readonly number[]
  readonly type: 'F32' | 'F16'
  readonly offset: number
}

function readPlace(cursor: Cursor): Place {
  const name = cursor.text()
  const dims = Array.from({ length: cursor.uint32() }, () => cursor.uint64())
  const type = TYPE_NAMES[cursor.uint32()]
  if (!type) {
    throw new Error(`"${name}" is neither F32 nor F16`)
  }
  return { name, dims, type, offset: cursor.uint64() }
}

/** The file called `name` taken apart. Throws an Error if it is no such file, or ends too early. */
export function readGguf(bytes: Uint8Array, name = 'GGUF'): GgufFile {
  try {
    return parsed(bytes)
  } catch (error) {
    const reason = error instanceof Error ? error.message : `${error}`
    throw new Error(`${name}: expected a GGUF file of version 3 (${reason})`, { cause: error })
  }
}

function parsed(bytes: Uint8Array): GgufFile {
  const cursor = new Cursor(bytes)
  const magic = cursor.uint32()
  const version = cursor.uint32()
  if (magic !== 0x46554747 || version !== 3) {
    throw new Error(`magic ${magic}, version ${version}`)
  }
  const count = cursor.uint64()
  const keys = cursor.uint64()
  const kv: Record<string, { type: string; value: unknown }> = {}
  for (let i = 0; i < keys; i++) {
    const name = cursor.text()
    const type = cursor.uint32()
    kv[name] = { type: VALUE_NAMES[type], value: cursor.value(type) }
  }
  const places = Array.from({ length: count }, () => readPlace(cursor))
  const start = Math.ceil(cursor.at / ALIGNMENT) * ALIGNMENT
  const tensors = places.map(({ name, dims, type, offset }) => {
    const size = dims.reduce((n, d) => n * d, 1) * (type === 'F32' ? 4 : 2)
    const data = bytes.slice(start + offset, start + offset + size)
    return [name, { dims, type, bytes: data }] as const
  })
  return { kv, tensors: new Map(tensors) }
}

// The same binary for memory that threads share. The import of the memory says so in its limits:
// flags (1: there is a maximum, 2: shared), minimum, maximum; the flags are set and a maximum is
// added, nothing else changes. Source: WebAssembly core specification, 5.3.9 and 5.5.5, and the threads
// proposal.

import { LowrankError } from '../../../core/errors.ts'

const HEADER = 8
const IMPORT_SECTION = 2
const FUNCTION = 0
const MEMORY = 2
const SHARED = 3
/** Pages of 64 KiB in 4 GiB. */
const MAXIMUM = 65536

/** Reads from a place that moves on. */
class Reader {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  byte(): number {
    return this.#bytes[this.at++]
  }

  /** An unsigned integer, seven bits to the byte, the lowest first. */
  integer(): number {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.byte()
      value |= (byte & 127) << shift
      if (byte < 128) {
        return value >>> 0
      }
    }
  }

  skipName(): void {
    const length = this.integer()
    this.at += length
  }
}

function encoded(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...encoded(value >>> 7)]
}

/** Goes on to what follows the kind of the imported memory, past functions. */
function findMemory(reader: Reader): void {
  for (let left = reader.integer(); left > 0; left--) {
    reader.skipName()
    reader.skipName()
    const kind = reader.byte()
    if (kind === MEMORY) {
      return
    }
    if (kind !== FUNCTION) {
      break
    }
    reader.integer()
  }
  throw new LowrankError(
    'backend',
    'wasm: expected a binary that imports memory and functions only',
  )
}

/** The imports of a kernel binary, rewritten; `reader` is at the number of imports. */
function sharedImport(bytes: Uint8Array, reader: Reader, end: number): number[] {
  const start = reader.at
  findMemory(reader)
  const before = bytes.subarray(start, reader.at)
  reader.byte()
  const minimum = reader.integer()
  const after = bytes.subarray(reader.at, end)
  return [...before, SHARED, ...encoded(minimum), ...encoded(MAXIMUM), ...after]
}

/** `bytes` with its imported memory shared. Throws a `backend` error where it imports anything else. */
export function withSharedMemory(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const reader = new Reader(bytes, HEADER)
  while (reader.at < bytes.length) {
    const section = reader.at
    const id = reader.byte()
    const length = reader.integer()
    const end = reader.at + length
    if (id === IMPORT_SECTION) {
      const content = sharedImport(bytes, reader, end)
      const head = [...bytes.subarray(0, section), id, ...encoded(content.length)]
      return Uint8Array.from([...head, ...content, ...bytes.subarray(end)])
    }
    reader.at = end
  }
  throw new LowrankError(
    'backend',
    'wasm: expected a binary that imports its memory, got no import',
  )
}

// Where the static data of each WASM family lies in the one memory that all of them import, and whether
// what was compiled stays there: below the next family, the last one below the heap.
// Binary format: WebAssembly Core Specification 2.0, sections 5.2.2 (LEB128) and 5.5.14 (data).

/** Where the data of each family begins. */
export const MEMORY_BASE = {
  core: 1024,
  transformer: 4096,
  conv: 12288,
  elementwise: 16384,
  adafactor: 20480,
  reductions: 24576,
  indexing: 28672,
  arithmetic: 32768,
  layer_norm: 36864,
  losses: 40960,
}

/** HEAP_START of src/backends/wasm/backend.ts. */
export const HEAP_START = 65536

const HEADER = 8
const DATA = 11
const I32_CONST = 0x41

export function memoryBase(family) {
  const base = MEMORY_BASE[family]
  if (base === undefined) {
    throw new Error(
      `${family}: expected a place in MEMORY_BASE of scripts/static-data.mjs, got none`,
    )
  }
  return base
}

/** Reads whole numbers, signed or not, and bytes, one after the other. */
class Reader {
  constructor(bytes, at) {
    this.bytes = bytes
    this.at = at
  }

  byte() {
    return this.bytes[this.at++]
  }

  number(signed = false) {
    let value = 0
    let shift = 0
    let byte
    do {
      byte = this.byte()
      value |= (byte & 127) << shift
      shift += 7
    } while (byte > 127)
    return signed && shift < 32 && byte & 64 ? value | (-1 << shift) : value
  }
}

/** Each piece of static data: where it starts, and the first byte after it. */
export function staticData(bytes) {
  const reader = new Reader(bytes, HEADER)
  const pieces = []
  while (reader.at < bytes.length) {
    const id = reader.byte()
    const size = reader.number()
    const end = reader.at + size
    if (id === DATA) {
      for (let left = reader.number(); left > 0; left--) {
        pieces.push(piece(reader))
      }
    }
    reader.at = end
  }
  return pieces
}

function piece(reader) {
  const kind = reader.number()
  const instruction = reader.byte()
  if (kind !== 0 || instruction !== I32_CONST) {
    throw new Error(`static data: expected a constant place in the memory, got kind ${kind}`)
  }
  const start = reader.number(true)
  reader.byte()
  const length = reader.number()
  reader.at += length
  return { start, end: start + length }
}

/** Throws unless the static data of a binary lies between its base and the next. */
export function checkStaticData(family, bytes) {
  const base = memoryBase(family)
  const next = Math.min(HEAP_START, ...Object.values(MEMORY_BASE).filter(other => other > base))
  for (const { start, end } of staticData(bytes)) {
    if (start < base || end > next) {
      throw new Error(
        `${family}: expected static data in [${base}, ${next}), got [${start}, ${end}) ` +
          '(move the bases in scripts/static-data.mjs apart)',
      )
    }
  }
}

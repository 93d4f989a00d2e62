// A binary that is inlined as hexadecimal. Twice as long as the bytes but, unlike base64, aligned
// with them: gzip finds the repetitions of the code, and the result is within a tenth of the gzipped
// binary (base64 takes half as much again; docs/decisions/0005).

import type { Binary } from '../../core/backend.ts'

export function decodeHex(text: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(text.length / 2)
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16)
  }
  return bytes
}

/** The binary of one family; compiled once, for all backends. */
export function inlined(name: string, hex: string): Binary {
  let compiled: WebAssembly.Module | undefined
  const bytes = (): Uint8Array<ArrayBuffer> => decodeHex(hex)
  return {
    name,
    bytes,
    module() {
      compiled ??= new WebAssembly.Module(bytes())
      return compiled
    },
  }
}

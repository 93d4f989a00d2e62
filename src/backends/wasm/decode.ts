// A binary that is inlined as printable characters, which no tool escapes: those bytes that machine code
// is mostly made of take one character, the others two. For a byte b, with S = 88 symbols:
//   r = (b + 3) mod 256, so that 0xfd, the prefix of SIMD, and small numbers come first
//   r < S - 2: the symbol r + 2; else two: the symbols 0 or 1, then the rest, of r - (S - 2) in base S
// Gzip makes as little of it as of the bytes themselves (docs/decisions/0005).

import type { Binary } from '../../core/backend.ts'

/** The symbols are the printable characters but these, which end a text in JavaScript or HTML. */
const LEFT_OUT = '"$\'<\\`'
const FIRST = 33
const LAST = 126
const SYMBOLS = 88
const PREFIXES = 2
const SHIFT = 3

/** Symbols by their characters. */
function symbols(): Uint8Array {
  const numbers = new Uint8Array(LAST + 1)
  let next = 0
  for (let code = FIRST; code <= LAST; code++) {
    if (!LEFT_OUT.includes(String.fromCharCode(code))) {
      numbers[code] = next++
    }
  }
  return numbers
}

export function decode(text: string): Uint8Array<ArrayBuffer> {
  const symbolOf = symbols()
  const bytes = new Uint8Array(text.length)
  let count = 0
  for (let i = 0; i < text.length; i++) {
    let rank = symbolOf[text.charCodeAt(i)] - PREFIXES
    if (rank < 0) {
      rank = (rank + PREFIXES + 1) * SYMBOLS - PREFIXES + symbolOf[text.charCodeAt(++i)]
    }
    // Stored modulo 256.
    bytes[count++] = rank - SHIFT
  }
  return bytes.subarray(0, count)
}

/** The binary of one family; compiled once, for all backends. */
export function inlined(name: string, text: string): Binary {
  let compiled: WebAssembly.Module | undefined
  const bytes = (): Uint8Array<ArrayBuffer> => decode(text)
  return {
    name,
    bytes,
    module() {
      compiled ??= new WebAssembly.Module(bytes())
      return compiled
    },
  }
}

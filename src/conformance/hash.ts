// FNV-1a of bytes with two offsets, 64 bits together: h ← (h XOR byte) · 16777619 mod 2³². It names
// equal bytes, it protects nothing. Source: Fowler, Noll, Vo; draft-eastlake-fnv-34.

const PRIME = 0x01000193
const OFFSETS = [0x811c9dc5, 0x050c5d1f] as const

const hex = (word: number): string => (word >>> 0).toString(16).padStart(8, '0')

export class Hash {
  #first: number = OFFSETS[0]
  #second: number = OFFSETS[1]

  addBytes(bytes: Uint8Array): void {
    for (const byte of bytes) {
      this.#first = Math.imul(this.#first ^ byte, PRIME)
      this.#second = Math.imul(this.#second ^ byte ^ 0x5a, PRIME)
    }
  }

  addText(text: string): void {
    this.addBytes(new TextEncoder().encode(text))
  }

  /** Numbers as the eight bytes of a double, little-endian; floats widen exactly. */
  add(values: ArrayLike<number>): void {
    const view = new DataView(new ArrayBuffer(8 * values.length))
    for (let i = 0; i < values.length; i++) {
      view.setFloat64(8 * i, values[i], true)
    }
    this.addBytes(new Uint8Array(view.buffer))
  }

  text(): string {
    return hex(this.#first) + hex(this.#second)
  }
}

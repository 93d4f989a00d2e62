// Base64 to bytes, in every runtime: AudioWorklet, among others, has no atob.

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

export function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0
  const bytes = new Uint8Array((text.length / 4) * 3 - padding)
  let word = 0
  let written = 0
  for (let i = 0; i < text.length; i++) {
    word = (word << 6) | Math.max(ALPHABET.indexOf(text[i]), 0)
    if ((i & 3) === 3) {
      bytes[written++] = word >>> 16
      bytes[written++] = word >>> 8
      bytes[written++] = word
    }
  }
  return bytes
}

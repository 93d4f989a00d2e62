// Philox4x32-10 and what is drawn from it, by the definition in whole numbers of any size, apart from
// what the library computes with.
//
// A block of four words is Philox of the counter (block, block / 2³², stream, 0) under the key
// (seed, seed / 2³²). A uniform draw is ((w₀ >> 5)·2²⁶ + (w₁ >> 6)) / 2⁵³, a whole number below n is
// ⌊u·n⌋, two normal draws are √(−2·ln(1 − u₀))·(cos, sin)(2π·u₁). A stream that has a name is its hash
// (FNV-1a, 32 bits).
// Sources: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011);
// Box, Muller, "A note on the generation of random normal deviates" (1958).

const M0 = 0xd2511f53n
const M1 = 0xcd9e8d57n
const W0 = 0x9e3779b9n
const W1 = 0xbb67ae85n
const MASK = 0xffffffffn

function philox([c0, c1, c2, c3], [k0, k1]) {
  for (let round = 0; round < 10; round++) {
    const [a, b] = [M0 * c0, M1 * c2]
    ;[c0, c1, c2, c3] = [(b >> 32n) ^ c1 ^ k0, b & MASK, (a >> 32n) ^ c3 ^ k1, a & MASK]
    k0 = (k0 + W0) & MASK
    k1 = (k1 + W1) & MASK
  }
  return [c0, c1, c2, c3]
}

export function words(seed, stream, count) {
  const key = [BigInt(seed) & MASK, BigInt(seed) >> 32n]
  const blocks = Array.from({ length: Math.ceil(count / 4) }, (_, i) =>
    philox([BigInt(i), 0n, BigInt(stream), 0n], key),
  )
  return blocks.flat().slice(0, count).map(Number)
}

export function uniforms(seed, stream, count) {
  const w = words(seed, stream, 2 * count)
  const at = i => (BigInt(w[2 * i]) >> 5n) * 2n ** 26n + (BigInt(w[2 * i + 1]) >> 6n)
  return Array.from({ length: count }, (_, i) => Number(at(i)) / 2 ** 53)
}

export function normals(seed, stream, count) {
  const u = uniforms(seed, stream, count + (count % 2))
  return Array.from({ length: count }, (_, i) => {
    const [first, second] = [u[i - (i % 2)], u[i - (i % 2) + 1]]
    const angle = 2 * Math.PI * second
    return Math.sqrt(-2 * Math.log(1 - first)) * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle))
  })
}

/** The numbers below `count` in the order of Fisher and Yates, from the last place down. */
export function shuffled(seed, stream, count) {
  const u = uniforms(seed, stream, count)
  const order = Array.from({ length: count }, (_, i) => i)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(u[count - 1 - i] * (i + 1))
    ;[order[i], order[j]] = [order[j], order[i]]
  }
  return order
}

export function hashName(name) {
  const prime = 0x01000193n
  const step = (hash, char) => ((hash ^ BigInt(char.charCodeAt(0))) * prime) & MASK
  return Number([...name].reduce(step, 0x811c9dc5n))
}

/** What each element is multiplied by under dropout: 0, or 1 / (1 − p). */
export function dropoutFactors(count, { p, seed, stream }) {
  const threshold = Math.floor(p * 2 ** 32)
  return words(seed, stream, count).map(w => (w < threshold ? 0 : 1 / (1 - p)))
}

/** Numbers from −1 to 1 that float32 holds, for the inputs of a case. */
export function inputs(name, count) {
  return uniforms(1, hashName(name), count).map(u => Math.fround(2 * u - 1))
}

/** Numbers from −1 to 1 in steps of 1/32: products and sums of them are exact. */
export function coarseInputs(name, count) {
  return uniforms(1, hashName(name), count).map(u => (Math.floor(u * 65) - 32) / 32)
}

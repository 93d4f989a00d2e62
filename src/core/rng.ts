// Philox4x32-10, a counter-based generator: draw number i of a (seed, stream) pair is a pure
// function of the three, so that draws can be made in any order, in any runtime and in a kernel.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011),
// section 3 and the constants of its reference implementation (Random123). Normal draws: Box and
// Muller, "A note on the generation of random normal deviates" (1958).
import { log } from './math/log.ts'
import { cosTurns, sinTurns } from './math/sin.ts'

const MULTIPLIER_0 = 0xd2511f53
const MULTIPLIER_1 = 0xcd9e8d57
const WEYL_0 = 0x9e3779b9
const WEYL_1 = 0xbb67ae85

/** The high 32 bits of the 64-bit product of two 32-bit unsigned integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const carry = (middle & 0xffff) + aLow * bHigh
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0
}

/** Four 32-bit words for a 128-bit counter and a 64-bit key, written into `out`. */
export function philox(
  out: Uint32Array,
  counter0: number,
  counter1: number,
  counter2: number,
  counter3: number,
  key0: number,
  key1: number,
): void {
  let c0 = counter0 >>> 0
  let c1 = counter1 >>> 0
  let c2 = counter2 >>> 0
  let c3 = counter3 >>> 0
  let k0 = key0 >>> 0
  let k1 = key1 >>> 0
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0)
    const high1 = multiplyHigh(MULTIPLIER_1, c2)
    const low0 = Math.imul(MULTIPLIER_0, c0) >>> 0
    const low1 = Math.imul(MULTIPLIER_1, c2) >>> 0
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + WEYL_0) >>> 0
    k1 = (k1 + WEYL_1) >>> 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/** FNV-1a, 32 bits: names a stream by a word, so that adding a parameter shifts no other draw. */
export function hashName(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) {
    hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  }
  return hash >>> 0
}

/**
 * A stream of random numbers, the same on every runtime.
 *
 * @example
 * ```ts
 * import { Random } from 'lowrank'
 *
 * const random = new Random(42, 'shuffle')
 * const first = random.integer(6)
 * console.log(first === new Random(42, 'shuffle').integer(6)) // true
 * ```
 */
export class Random {
  readonly seed: number
  readonly stream: number
  #index = 0
  #words: Uint32Array = new Uint32Array(4)
  /** The second value of a Box–Muller pair, until it is used. */
  #spare: number | undefined

  constructor(seed: number, stream: string | number = 0) {
    this.seed = seed
    this.stream = typeof stream === 'string' ? hashName(stream) : stream
  }

  #fill(): void {
    const block = Math.floor(this.#index / 4)
    const blockHigh = Math.floor(block / 0x100000000)
    const seedHigh = Math.floor(this.seed / 0x100000000)
    philox(this.#words, block, blockHigh, this.stream, 0, this.seed, seedHigh)
  }

  /** The next 32 random bits as an unsigned integer. */
  uint32(): number {
    const lane = this.#index % 4
    if (lane === 0) {
      this.#fill()
    }
    this.#index++
    return this.#words[lane]
  }

  /** Jumps over the next `count` draws of 32 bits (a uniform takes 2, a pair of normals 4). */
  skip(count: number): void {
    this.#index += count
    this.#spare = undefined
    if (this.#index % 4 !== 0) {
      this.#fill()
    }
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    const high = this.uint32() >>> 5
    const low = this.uint32() >>> 6
    return (high * 0x4000000 + low) / 0x20000000000000
  }

  /** Uniform from `low` to `high`; `high` itself occurs only by rounding. */
  uniformBetween(low: number, high: number): number {
    return low + (high - low) * this.uniform()
  }

  /** Normal with mean 0 and standard deviation 1 (at most 8.6 in magnitude). */
  normal(): number {
    const spare = this.#spare
    if (spare !== undefined) {
      this.#spare = undefined
      return spare
    }
    const radius = Math.sqrt(-2 * log(1 - this.uniform()))
    const turns = this.uniform()
    this.#spare = radius * sinTurns(turns)
    return radius * cosTurns(turns)
  }

  /** Uniform in 0 … n − 1. The bias is below n / 2⁵³. */
  integer(n: number): number {
    return Math.floor(this.uniform() * n)
  }

  /** One of `items`. */
  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)]
  }

  /** A shuffled copy (Fisher and Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const shuffled = [...items]
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = this.integer(i + 1)
      const other = shuffled[j]
      shuffled[j] = shuffled[i]
      shuffled[i] = other
    }
    return shuffled
  }
}

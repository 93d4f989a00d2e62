// Uniform draws for initial weights: word by word what `Random` gives, without the rest of it, which a
// program that draws nothing else then need not hold.

import type { Draw } from '../core/random_state.ts'
import { philox } from '../core/rng.ts'

/** `count` numbers uniform in ±bound: the first draws of a stream, two of each block of four words. */
export function uniforms({ seed, stream }: Draw, count: number, bound: number): Float32Array {
  const words = new Uint32Array(4)
  return Float32Array.from({ length: count }, (_, i) => {
    const lane = 2 * (i % 2)
    if (lane === 0) {
      philox(words, i / 2, 0, stream, 0, seed, Math.floor(seed / 0x100000000))
    }
    const unit = ((words[lane] >>> 5) * 0x4000000 + (words[lane + 1] >>> 6)) / 0x20000000000000
    return (unit * 2 - 1) * bound
  })
}

import { Random } from 'lowrank'
import { expect, it } from 'vitest'
import { uniforms } from '../../src/nn/uniform.ts'

it('draws what Random draws, bit for bit', () => {
  for (const [seed, stream] of [
    [0, 0],
    [7, 3],
    [2 ** 40 + 5, 4294967295],
  ] as const) {
    const random = new Random(seed, stream)
    const want = Float32Array.from({ length: 9 }, () => (random.uniform() * 2 - 1) * 0.3)
    expect(uniforms({ seed, stream }, 9, 0.3)).toEqual(want)
  }
})

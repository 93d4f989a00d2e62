// The convolution kernels between guard words: nothing is written outside the columns or the image.

import { describe, expect, it } from 'vitest'
import { binary } from '../../../src/backends/wasm/binaries/conv.ts'
import { Random } from '../../../src/core/rng.ts'
import { Guarded } from '../../support/guarded.ts'

const random = new Random(71, 'conv guards')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

describe('im2col and col2im', () => {
  // Width, kernel, stride, padding, dilation.
  const cases = [
    [5, 3, 1, 0, 1],
    [1, 3, 1, 1, 1],
    [4, 2, 1, 5, 1],
    [9, 3, 2, 1, 1],
    [8, 2, 3, 0, 2],
    [6, 3, 1, 4, 2],
    [13, 5, 1, 2, 1],
    [1, 3, 1, 2, 2],
  ] as const

  it.each(cases)(
    'stay inside: width %i, kernel %i, stride %i, padding %i, dilation %i',
    (...sizes) => {
      const [W, k, stride, padding, dilation] = sizes
      const out = Math.floor((W + 2 * padding - dilation * (k - 1) - 1) / stride) + 1
      const [C, count] = [2, 2 * k * k * out * out]
      const memory = new Guarded(binary.module())
      const image = memory.floats(draws(C * W * W))
      const columns = memory.room(count)
      const pairs = [k, k, stride, stride, padding, padding, dilation, dilation]
      memory.kernels.im2col(image, 0, columns, C, W, W, ...pairs, 0, out, out)
      expect(memory.read(columns, count)).not.toContain(Number.NaN)
      memory.kernels.col2im(image, 0, columns, C, W, W, ...pairs, 0, out, out)
      expect(memory.read(image, C * W * W)).not.toContain(Number.NaN)
      expect(memory.damage()).toBe(0)
    },
  )

  it.each([0, 1, 3, 4, 5, 9])('fill and add channels of %i positions', P => {
    const [B, O] = [2, 3]
    const memory = new Guarded(binary.module())
    const [bias, y] = [memory.floats(draws(O)), memory.room(B * O * P)]
    memory.kernels.fill_channels(bias, y, B, O, P)
    expect(memory.read(y, B * O * P)).not.toContain(Number.NaN)
    memory.kernels.sum_channels(y, bias, B, O, P)
    expect(memory.read(bias, O)).not.toContain(Number.NaN)
    expect(memory.damage()).toBe(0)
  })
})

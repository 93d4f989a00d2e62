// The transformer kernels between guard words, at sizes around vectors, panels and tiles: nothing is
// written outside outputs and scratch, and all of an output is written.

import { describe, expect, it } from 'vitest'
import { binary as layerNorm } from '../../../src/backends/wasm/binaries/layer_norm.ts'
import { binary } from '../../../src/backends/wasm/binaries/transformer.ts'
import { Random } from '../../../src/core/rng.ts'
import { attentionScratch } from '../../../src/ops/attention_shape.ts'
import { Guarded } from '../../support/guarded.ts'

const random = new Random(5, 'transformer guards')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

const SIZES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 11]

describe('rms_norm and layer_norm', () => {
  it.each(SIZES)('write their outputs alone: %i columns', cols => {
    const rows = 3
    const memory = new Guarded(binary.module(), layerNorm.module())
    const { kernels } = memory
    const [x, dy] = [memory.floats(draws(rows * cols)), memory.floats(draws(rows * cols))]
    const [weight, bias] = [memory.floats(draws(cols)), memory.floats(draws(cols))]
    const [y, dx] = [memory.room(rows * cols), memory.room(rows * cols)]
    const [mean, rstd] = [memory.room(rows), memory.room(rows)]
    const [dweight, scratch] = [memory.room(cols), memory.room(3 * cols)]
    kernels.rms_norm(x, weight, 1, y, rstd, rows, cols, 1e-5, 0)
    kernels.rms_norm_dx(dy, x, weight, 1, rstd, dx, rows, cols, 0)
    kernels.rms_norm_dweight(dy, x, rstd, dweight, rows, cols, scratch)
    expect(memory.read(y, rows * cols)).not.toContain(Number.NaN)
    expect(memory.read(dx, rows * cols)).not.toContain(Number.NaN)
    kernels.layer_norm(x, weight, 1, bias, 1, y, mean, rstd, rows, cols, 1e-5)
    kernels.layer_norm_dx(dy, x, weight, 1, mean, rstd, dx, rows, cols)
    kernels.layer_norm_dweight(dy, x, mean, rstd, dweight, rows, cols, scratch)
    expect(memory.read(dweight, cols)).not.toContain(Number.NaN)
    expect(memory.damage()).toBe(0)
  })
})

describe('attention', () => {
  const cases = [
    [1, 1, 1, 1],
    [3, 5, 4, 4],
    [5, 3, 7, 9],
    [41, 41, 8, 8],
    [2, 9, 9, 1],
    [1, 13, 5, 3],
  ] as const

  it.each(cases)(
    'writes its outputs alone: %i queries, %i keys, D = %i, Dv = %i',
    (Tq, Tk, D, Dv) => {
      const [B, H, group] = [2, 2, 2]
      const memory = new Guarded(binary.module())
      const { kernels } = memory
      const [q, k, v] = [
        memory.floats(draws(B * Tq * H * D)),
        memory.floats(draws(B * Tk * D)),
        memory.floats(draws(B * Tk * Dv)),
      ]
      const mask = memory.floats(draws(B * Tk))
      const y = memory.room(B * Tq * H * Dv)
      const lse = memory.room(B * H * Tq)
      const strides = {
        q: [0, Tq * H * D, D, H * D],
        k: [0, Tk * D, D, D],
        v: [0, Tk * Dv, Dv, Dv],
        y: [0, Tq * H * Dv, Dv, H * Dv],
        mask: [1, Tk, 0, 0, 1],
      }
      const sizes = [B, H, group, Tq, Tk, D, Dv, 0.5, 2, 1, 3, 0]
      const scratch = memory.room(kernels.attention_scratch(Tk, D, Dv))
      const operands = [q, ...strides.q, k, ...strides.k, v, ...strides.v, mask, ...strides.mask]
      kernels.attention(...operands, y, ...strides.y, lse, ...sizes, scratch)
      expect(memory.read(y, B * Tq * H * Dv)).not.toContain(Number.NaN)
      expect(memory.read(lse, B * H * Tq)).not.toContain(Number.NaN)

      const dy = memory.floats(draws(B * Tq * H * Dv))
      const dq = memory.room(B * Tq * H * D)
      const zeros = (count: number): number => memory.floats(new Float32Array(count))
      const [dk, dv, dmask] = [zeros(B * Tk * D), zeros(B * Tk * Dv), zeros(B * Tk)]
      const room = memory.room(kernels.attention_backward_scratch(Tk, D, Dv))
      const gradients = [dq, 1, dk, 1, dv, 1, dmask, 1]
      kernels.attention_backward(dy, ...strides.y, ...operands, lse, ...gradients, ...sizes, room)
      expect(memory.read(dq, B * Tq * H * D)).not.toContain(Number.NaN)
      expect(memory.read(dk, B * Tk * D)).not.toContain(Number.NaN)
      expect(memory.read(dv, B * Tk * Dv)).not.toContain(Number.NaN)
      expect(memory.read(dmask, B * Tk)).not.toContain(Number.NaN)
      expect(memory.damage()).toBe(0)
    },
  )

  it('asks for no more scratch than src/ops/attention_shape.ts gives', () => {
    const { kernels } = new Guarded(binary.module())
    for (const [Tk, D, Dv] of [
      [1, 1, 1],
      [9, 64, 64],
      [100, 7, 12],
      [1000, 128, 3],
    ]) {
      const given = attentionScratch(Tk, D, Dv)
      expect(kernels.attention_scratch(Tk, D, Dv)).toBeLessThanOrEqual(given)
      expect(kernels.attention_backward_scratch(Tk, D, Dv)).toBeLessThanOrEqual(given)
    }
  })
})

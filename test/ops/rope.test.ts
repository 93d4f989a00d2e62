// Rotary embedding: head sizes around vectors, positions given and counted, heads rotated in part.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { rope } from '../../src/ops/rope.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

const random = new Random(31, 'rope')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

/** cos and sin of any angles, `rows` positions of `half` pairs. */
function tables(rows: number, half: number): { cos: Float32Array; sin: Float32Array } {
  const angles = draws(rows * half)
  return { cos: angles.map(angle => Math.cos(9 * angle)), sin: angles.map(a => Math.sin(9 * a)) }
}

describe('rope', () => {
  it.each([0, 2, 4, 6, 8, 10, 16, 18])('turns heads of %i', D => {
    const { cos, sin } = tables(5, D / 2)
    checkOp({
      name: `rope ${D}`,
      fn: (x, c, s) => rope(x, c, s, { offset: 2 }),
      inputs: [
        { shape: [2, 3, 2, D] },
        { shape: [5, D / 2], data: cos, constant: true },
        { shape: [5, D / 2], data: sin, constant: true },
      ],
      wantShape: [2, 3, 2, D],
    })
  })

  it('leaves the rest of a head as it is', () => {
    const { cos, sin } = tables(3, 2)
    const x = draws(2 * 3 * 7)
    checkOp({
      name: 'rope, 4 of 7',
      fn: (y, c, s) => rope(y, c, s),
      inputs: [
        { shape: [1, 3, 2, 7], data: x },
        { shape: [3, 2], data: cos, constant: true },
        { shape: [3, 2], data: sin, constant: true },
      ],
      want: Array.from(x, (value, i) => {
        const [channel, position] = [i % 7, Math.floor(i / 14)]
        if (channel >= 4) {
          return value
        }
        const at = position * 2 + (channel % 2)
        return channel < 2
          ? value * cos[at] - x[i + 2] * sin[at]
          : value * cos[at] + x[i - 2] * sin[at]
      }),
    })
  })

  it('takes the positions of each row of a batch', () => {
    const { cos, sin } = tables(9, 3)
    checkOp({
      name: 'rope at positions',
      fn: (x, c, s, positions) => rope(x, c, s, { positions }),
      inputs: [
        { shape: [2, 3, 2, 6] },
        { shape: [9, 3], data: cos, constant: true },
        { shape: [9, 3], data: sin, constant: true },
        { shape: [2, 3], data: [0, 8, 3, 3, 1, 0], dtype: 'int32' },
      ],
    })
  })

  it.each(backends)('on $name counts positions from an offset', ({ make }) => {
    const { cos, sin } = tables(9, 3)
    withBackend(make(), () => {
      const x = tensor(draws(2 * 4 * 6), [2, 4, 1, 6])
      const [c, s] = [tensor(cos, [9, 3]), tensor(sin, [9, 3])]
      const positions = tensor([5, 6, 7, 8, 5, 6, 7, 8], [2, 4], { dtype: 'int32' })
      const counted = rope(x, c, s, { offset: 5 }).dataSync()
      expect(rope(x, c, s, { positions }).dataSync()).toEqual(counted)
    })
  })

  it.each(backends)('on $name keeps scores of equal distances', ({ make }) => {
    const [theta, D] = [100, 8]
    const frequencies = Array.from({ length: D / 2 }, (_, i) => theta ** ((-2 * i) / D))
    const table = (fn: (angle: number) => number): number[] =>
      Array.from({ length: 20 }, (_, p) => frequencies.map(f => fn(p * f))).flat()
    withBackend(make(), () => {
      const cos = tensor(table(Math.cos), [20, D / 2])
      const sin = tensor(table(Math.sin), [20, D / 2])
      const [q, k] = [tensor(draws(D), [1, 1, 1, D]), tensor(draws(D), [1, 1, 1, D])]
      const at = (x: Tensor, offset: number) => rope(x, cos, sin, { offset }).dataSync()
      const score = (i: number, j: number): number => {
        const keys = at(k, j)
        return Array.from(at(q, i)).reduce((sum, value, n) => sum + value * keys[n], 0)
      }
      // Eight products below 1, each of two roundings, of angles rounded to f32.
      expect(Math.abs(score(7, 3) - score(16, 12))).toBeLessThan(8 * 8 * 2 ** -24)
    })
  })

  it('says what does not fit', () => {
    const x = tensor(draws(12), [1, 3, 1, 4])
    const two = tensor(draws(6), [3, 2])
    expect(() => rope(x, tensor(draws(9), [3, 3]), tensor(draws(9), [3, 3]))).toThrow(
      'rope: expected tables of at most 2 columns for heads of 4, got 3',
    )
    expect(() => rope(x, two, tensor(draws(4), [2, 2]))).toThrow(
      'rope: sin: expected [P, half] with P = 3, half = 2, got [2, 2]',
    )
    for (const offset of [1, -1, 0.5]) {
      expect(() => rope(x, two, two, { offset })).toThrow(
        `rope: expected positions below 3, the length of the tables, got ${offset} to ${offset + 2}`,
      )
    }
    const short = tensor([0, 1], [1, 2], { dtype: 'int32' })
    expect(() => rope(x, two, two, { positions: short })).toThrow(
      'rope: positions: expected [B, T] with B = 1, T = 3, got [1, 2]',
    )
    const positions = tensor([0, 1, 3], [1, 3], { dtype: 'int32' })
    expect(() => rope(x, two, two, { positions })).toThrow(
      'rope: positions: expected indices from 0 to 2, got 3 at position 2',
    )
  })
})

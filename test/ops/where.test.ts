// where and maskedFill: values, where gradients go, and what is refused.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { tensor } from '../../src/core/tensor.ts'
import { maskedFill } from '../../src/ops/masked_fill.ts'
import { where } from '../../src/ops/where.ts'
import { backends } from '../support/backends.ts'
import { checkOp, type OpInput } from '../support/op.ts'

const mask = (shape: readonly number[], ...data: number[]): OpInput => ({
  shape,
  data,
  dtype: 'int32',
})

/** 0 and 1 without a pattern. */
const bits = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => ((i * 7 + (i >> 2)) % 3 === 0 ? 1 : 0))

describe('where', () => {
  it('chooses', () => {
    checkOp({
      name: 'where',
      fn: where,
      inputs: [
        mask([2, 2], 1, 0, 0, 1),
        { shape: [2, 2], data: [1, 2, 3, 4] },
        { shape: [2], data: [-1, -2] },
      ],
      want: [1, -2, -1, 4],
      wantShape: [2, 2],
    })
  })

  it.each([0, 1, 3, 4, 5, 8, 9, 17])('of %d elements', count => {
    const shape = [count]
    const inputs = [mask(shape, ...bits(count)), { shape }, { shape }]
    checkOp({ name: `where ${count}`, fn: where, inputs })
  })

  it('broadcasts all three', () => {
    const inputs = [mask([3, 1, 5], ...bits(15)), { shape: [2, 1] }, { shape: [4, 1, 1, 5] }]
    checkOp({ name: 'where', fn: where, inputs, wantShape: [4, 3, 2, 5] })
  })

  it('takes numbers, any mask that is not 0, and values that are not finite', () => {
    checkOp({
      name: 'where',
      fn: (m, x) => where(m, x, Number.NEGATIVE_INFINITY),
      inputs: [mask([5], 2, 0, -1, 0, 0x7fc00000), { shape: [5], data: [1, 2, 3, 4, 5] }],
      want: [1, Number.NEGATIVE_INFINITY, 3, Number.NEGATIVE_INFINITY, 5],
      gradcheck: false,
    })
  })

  it('refuses a mask that is not of integers, and shapes that do not broadcast', () => {
    const x = tensor([1, 2], [2])
    expect(() => where(x, x, x)).toThrow('where: expected an int32 mask of 0 and 1, got float32')
    const three = tensor([1, 0, 1], [3], { dtype: 'int32' })
    expect(() => where(three, x, x)).toThrow('where: shapes do not broadcast: [3] and [2]')
  })
})

describe('maskedFill', () => {
  it('fills where the mask is set', () => {
    checkOp({
      name: 'maskedFill',
      fn: (x, m) => maskedFill(x, m, -7),
      inputs: [{ shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }, mask([3], 0, 1, 0)],
      want: [1, -7, 3, 4, -7, 6],
      wantShape: [2, 3],
    })
  })

  it('refuses a mask that is larger', () => {
    const x = tensor([1, 2], [2])
    const larger = tensor([1, 0], [2, 1], { dtype: 'int32' })
    expect(() => maskedFill(x, larger, 0)).toThrow(
      'maskedFill: the mask [2, 1] does not broadcast to [2]',
    )
    expect(() => maskedFill(x, x, 0)).toThrow('maskedFill: expected an int32 mask')
    const integers = tensor([1, 2], [2], { dtype: 'int32' })
    expect(() => maskedFill(integers, integers, 0)).toThrow(
      'maskedFill: expected floats, got int32',
    )
  })

  it.each(backends)('keeps what was NaN out of the way on $name', ({ make }) => {
    const y = withBackend(make(), () => {
      const m = tensor([1, 0], [2], { dtype: 'int32' })
      return maskedFill(tensor([Number.NaN, 2], [2]), m, 0)
    })
    expect([...y.dataSync()]).toEqual([0, 2])
  })
})

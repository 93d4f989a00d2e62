// gather, scatterAdd and indexSelect: picking and adding back by index.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { argmax } from '../../src/ops/argmax.ts'
import { embedding } from '../../src/ops/embedding.ts'
import { gather } from '../../src/ops/gather.ts'
import { indexSelect } from '../../src/ops/index_select.ts'
import { scatterAdd } from '../../src/ops/scatter_add.ts'
import { sum } from '../../src/ops/sum.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

const ints = (data: readonly number[], shape: readonly number[]) =>
  ({ data, shape, dtype: 'int32' }) as const

describe('gather', () => {
  it('picks along each axis', () => {
    const x = { shape: [2, 3], data: [1, 2, 3, 4, 5, 6] }
    checkOp({
      name: 'gather',
      fn: (a, index) => gather(a, 1, index),
      inputs: [x, ints([2, 2, 0, 1], [2, 2])],
      want: [3, 3, 4, 5],
    })
    checkOp({
      name: 'gather',
      fn: (a, index) => gather(a, -2, index),
      inputs: [x, ints([1, 0, 1, 1, 1, 1, 0, 0, 0], [3, 3])],
      want: [4, 2, 6, 4, 5, 6, 1, 2, 3],
    })
  })

  it('takes an index that is shorter on other axes', () => {
    checkOp({
      name: 'gather',
      fn: (a, index) => gather(a, 1, index),
      inputs: [
        { shape: [3, 2, 2], data: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] },
        ints([1, 0], [2, 1, 1]),
      ],
      want: [3, 5],
    })
  })

  it('of no index is nothing', () => {
    const inputs = [{ shape: [2, 3] }, ints([], [2, 0])]
    checkOp({ name: 'gather', fn: (a, i) => gather(a, 1, i), inputs, wantShape: [2, 0] })
  })

  it('says what does not fit', () => {
    const x = tensor([1, 2], [1, 2])
    const index = (data: number[], shape: number[]) => tensor(data, shape, { dtype: 'int32' })
    expect(() => gather(x, 1, index([2], [1, 1]))).toThrow(
      'gather: expected indices from 0 to 1, got 2 at position 0',
    )
    expect(() => gather(x, 1, index([-1], [1, 1]))).toThrow('got -1 at position 0')
    expect(() => gather(x, 1, index([0, 0], [2, 1]))).toThrow(
      'none longer but dim 1: the elements are [1, 2], the index [2, 1]',
    )
    expect(() => gather(x, 1, index([0], [1]))).toThrow('with as many axes')
    expect(() => gather(x, 1, x)).toThrow('gather: expected an int32 index, got float32')
    expect(() => gather(tensor([1], []), 0, index([0], []))).toThrow('a scalar has no axes')
  })
})

describe.each(backends)('positions that are computed on $name', ({ make }) => {
  it('are taken to be in range', () => {
    withBackend(make(), () => {
      const x = tensor([1, 5, 3, 2, 9, 4], [2, 3])
      const [best, rows] = step(() => {
        const index = argmax(x, { dim: 1, keepdim: true })
        return [gather(x, 1, index), embedding(index, x)]
      })
      expect([...best.dataSync()]).toEqual([5, 9])
      expect([...rows.dataSync()]).toEqual([2, 9, 4, 2, 9, 4])
    })
  })
})

describe('scatterAdd', () => {
  it('adds repeats up, along each axis', () => {
    checkOp({
      name: 'scatterAdd',
      fn: (x, index, src) => scatterAdd(x, 1, index, src),
      inputs: [
        { shape: [2, 3], data: [0, 10, 20, 30, 40, 50] },
        ints([1, 1, 1, 0, 2, 0, 2, 2], [2, 4]),
        { shape: [2, 4], data: [1, 2, 3, 4, 5, 6, 7, 8] },
      ],
      want: [4, 16, 20, 36, 40, 70],
    })
    checkOp({
      name: 'scatterAdd',
      fn: (x, index, src) => scatterAdd(x, 0, index, src),
      inputs: [{ shape: [2, 2] }, ints([1, 0, 1, 1, 1, 0], [3, 2]), { shape: [3, 2] }],
    })
  })

  it('takes a longer source, and only the gradients that are needed', () => {
    const x = { shape: [3], data: [0, 0, 0] }
    const src = { shape: [5], data: [1, 2, 3, 4, 5] }
    const fn = (a: ReturnType<typeof tensor>, i: typeof a, s: typeof a) => scatterAdd(a, 0, i, s)
    const index = ints([2, 2], [2])
    checkOp({ name: 'scatterAdd', fn, inputs: [x, index, src], want: [0, 0, 3] })
    checkOp({ name: 'scatterAdd', fn, inputs: [{ ...x, constant: true }, index, src] })
    checkOp({ name: 'scatterAdd', fn, inputs: [x, index, { ...src, constant: true }] })
  })

  it('says what does not fit', () => {
    const x = tensor([1, 2, 3, 4], [2, 2])
    const index = tensor([0, 1], [1, 2], { dtype: 'int32' })
    expect(() => scatterAdd(x, 1, index, x)).toThrow(
      'scatterAdd: expected an index with the sizes of x but for dim 1: x is [2, 2], the index [1, 2]',
    )
    expect(() => scatterAdd(x, 0, index, tensor([1], [1, 1]))).toThrow(
      'none longer: the elements are [1, 1], the index [1, 2]',
    )
    const flat = tensor([0, 1], [2], { dtype: 'int32' })
    expect(() => scatterAdd(x, 1, flat, tensor([1, 2], [2]))).toThrow('the index [2]')
    const outside = tensor([0, 2], [1, 2], { dtype: 'int32' })
    expect(() => scatterAdd(x, 0, outside, x)).toThrow('expected indices from 0 to 1, got 2')
    expect(() => scatterAdd(x, 0, x, x)).toThrow('expected an int32 index')
  })

  it('keeps the sum of what it adds', () => {
    for (const { make } of backends) {
      const backend = make()
      fc.assert(
        fc.property(
          fc.array(fc.tuple(fc.integer({ min: 0, max: 4 }), fc.integer({ min: -99, max: 99 }))),
          pairs => {
            withBackend(backend, () => {
              const index = tensor(
                pairs.map(([i]) => i),
                [pairs.length],
                { dtype: 'int32' },
              )
              const src = tensor(
                pairs.map(([, value]) => value),
                [pairs.length],
              )
              const y = scatterAdd(tensor([0, 0, 0, 0, 0], [5]), 0, index, src)
              expect(sum(y).itemSync()).toBe(sum(src).itemSync())
            })
          },
        ),
        { numRuns: 50 },
      )
    }
  })
})

describe('indexSelect', () => {
  it.each([0, 1, 2, -1])('picks slices along axis %i', dim => {
    const inputs = [{ shape: [3, 4, 5] }, ints([2, 0, 2, 1, 1], [5])]
    const axis = dim < 0 ? dim + 3 : dim
    checkOp({
      name: 'indexSelect',
      fn: (x, index) => indexSelect(x, dim, index),
      inputs,
      wantShape: [3, 4, 5].map((size, i) => (i === axis ? 5 : size)),
    })
  })

  it('gives rows in the order of the index', () => {
    checkOp({
      name: 'indexSelect',
      fn: (x, index) => indexSelect(x, 0, index),
      inputs: [{ shape: [2, 2], data: [1, 2, 3, 4] }, ints([1, 0, 1], [3])],
      want: [3, 4, 1, 2, 3, 4],
    })
    checkOp({
      name: 'indexSelect',
      fn: (x, index) => indexSelect(x, 0, index),
      inputs: [{ shape: [2, 2] }, ints([], [0])],
      wantShape: [0, 2],
    })
  })

  it('says what does not fit', () => {
    const x = tensor([1, 2], [1, 2])
    const index = (data: number[], shape: number[]) => tensor(data, shape, { dtype: 'int32' })
    expect(() => indexSelect(x, 1, index([5], [1]))).toThrow('expected indices from 0 to 1, got 5')
    expect(() => indexSelect(x, 1, index([0], [1, 1]))).toThrow(
      'indexSelect: index: expected [count]',
    )
    expect(() => indexSelect(x, 1, x)).toThrow('indexSelect: expected an int32 index')
    expect(() => indexSelect(x, 2, index([0], [1]))).toThrow('indexSelect: axis 2 does not exist')
  })
})

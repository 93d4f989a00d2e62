// expand, permute, transpose, cat and slice: one copy between strided views, so one suite.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { add } from '../../src/ops/add.ts'
import { cat } from '../../src/ops/cat.ts'
import { expand } from '../../src/ops/expand.ts'
import { permute } from '../../src/ops/permute.ts'
import { slice } from '../../src/ops/slice.ts'
import { copyView, whole } from '../../src/ops/strided.ts'
import { transpose } from '../../src/ops/transpose.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

const counting = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

/** The element of a row-major array at an index. */
function at(data: readonly number[], shape: readonly number[], index: readonly number[]): number {
  return data[index.reduce((offset, i, axis) => offset * shape[axis] + i, 0)]
}

/** Every index of a shape, in order. */
function indices(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>(
    (all, size) => all.flatMap(index => counting(size).map(i => [...index, i])),
    [[]],
  )
}

describe('permute', () => {
  const orders = [
    [0, 1, 2, 3, 4],
    [4, 3, 2, 1, 0],
    [0, 2, 1, 3, 4],
    [1, 3, 0, 4, 2],
    [0, 1, 3, 2, 4],
    [2, 0, 1, 4, 3],
  ]

  it.each(orders)('axes in the order %i %i %i %i %i', (...order) => {
    for (const shape of [
      [2, 3, 1, 4, 5],
      [1, 9, 8, 1, 4],
      [2, 2, 2, 2, 2],
    ]) {
      const data = counting(shape.reduce((a, b) => a * b))
      const wantShape = order.map(axis => shape[axis])
      const want = indices(wantShape).map(index =>
        at(
          data,
          shape,
          shape.map((_, axis) => index[order.indexOf(axis)]),
        ),
      )
      const fn = (x: Tensor): Tensor => permute(x, order)
      checkOp({ name: 'permute', fn, inputs: [{ shape, data }], want, wantShape })
    }
  })

  it.each([1, 3, 4, 5, 7, 8, 9, 12, 13])('matrices %i wide', n => {
    for (const m of [1, 4, 6, 8, 9]) {
      const inputs = [{ shape: [2, m, n] }]
      checkOp({ name: 'transpose', fn: x => transpose(x, 1, -1), inputs, wantShape: [2, n, m] })
    }
  })

  it('moves no element where only axes of size 1 change places', () => {
    const inputs = [{ shape: [1, 3, 1, 2], data: counting(6) }]
    const fn = (x: Tensor): Tensor => permute(x, [1, 0, 3, 2])
    checkOp({ name: 'permute', fn, inputs, want: counting(6), wantShape: [3, 1, 2, 1] })
    const [x, moved] = step(() => {
      const y = add(tensor(counting(6), [1, 3, 1, 2]), 1)
      return [y.storage, permute(y, [1, 0, 3, 2]).storage]
    })
    expect(moved).toBe(x)
  })

  it('of a scalar is the scalar', () => {
    const y = transpose(tensor([3], []), 0, 0)
    expect([y.shape, y.itemSync()]).toEqual([[], 3])
  })

  it('wants every axis once', () => {
    const x = tensor([1, 2], [1, 2])
    expect(() => permute(x, [0, 0])).toThrow('permute: expected every axis of [1, 2] once')
    expect(() => permute(x, [1])).toThrow('permute: expected every axis of [1, 2] once, got [1]')
    expect(() => transpose(x, 0, 2)).toThrow('transpose: axis 2 does not exist')
  })
})

describe('expand', () => {
  it.each([
    [
      [3, 1, 4],
      [2, 3, 5, 4],
    ],
    [[1], [7]],
    [[], [2, 3]],
    [
      [2, 1],
      [2, 9],
    ],
    [
      [1, 5],
      [4, 5],
    ],
    [
      [2, 3],
      [2, 3],
    ],
    [
      [3, 1],
      [0, 3, 2],
    ],
    [
      [1, 2, 1],
      [3, 2, 4],
    ],
  ])('%j to %j', (from, to) => {
    checkOp({ name: 'expand', fn: x => expand(x, to), inputs: [{ shape: from }], wantShape: to })
  })

  it('keeps the sizes that are −1', () => {
    const inputs = [{ shape: [2, 1], data: [1, 2] }]
    const want = [1, 1, 2, 2]
    checkOp({ name: 'expand', fn: x => expand(x, [-1, 2]), inputs, want, wantShape: [2, 2] })
  })

  it.each([[[3, 2]], [[2]], [[-1, 2, 2]]])('refuses %j', shape => {
    expect(() => expand(tensor([1, 2], [2, 1]), shape)).toThrow(
      /^expand: \[2, 1\] does not broadcast/,
    )
  })

  it.each([[[3]], [[2.5, 3]], [[-2, 3]]])('refuses %j for [1, 3]', shape => {
    expect(() => expand(tensor([1, 2, 3], [1, 3]), shape)).toThrow(
      /^expand: \[1, 3\] does not broadcast/,
    )
  })
})

describe('slice', () => {
  it.each([
    [0, 0, 2],
    [1, 1, 3],
    [2, 3, 3],
    [-1, -2, undefined],
    [1, 0, -1],
  ])('along axis %i from %i to %s', (dim, start, end) => {
    const shape = [2, 3, 5]
    const data = counting(30)
    const axis = dim < 0 ? dim + 3 : dim
    const kept = counting(shape[axis]).slice(start, end)
    const want = indices(shape)
      .filter(index => kept.includes(index[axis]))
      .map(index => at(data, shape, index))
    const wantShape = shape.map((size, i) => (i === axis ? kept.length : size))
    checkOp({
      name: 'slice',
      fn: x => slice(x, dim, start, end),
      inputs: [{ shape, data }],
      want,
      wantShape,
    })
  })

  it.each([
    [4, 5],
    [2, 1],
    [-5, 2],
    [0.5, 1],
  ])('refuses the range %d to %d of 3', (start, end) => {
    expect(() => slice(tensor([1, 2, 3], [3]), 0, start, end)).toThrow(
      `slice: expected a range within the 3 positions of dim 0 of [3], got ${start} to ${end}`,
    )
  })

  it('a scalar has no axis', () => {
    expect(() => slice(tensor([1], []), 0, 0)).toThrow('slice: a scalar has no axes')
  })
})

describe('cat', () => {
  it.each([0, 1, 2, -1])('along axis %i', dim => {
    const axis = dim < 0 ? dim + 3 : dim
    const shapes = [1, 3, 0, 2].map(size => [2, 3, 4].map((s, i) => (i === axis ? size : s)))
    const wantShape = [2, 3, 4].map((s, i) => (i === axis ? 6 : s))
    checkOp({
      name: 'cat',
      fn: (...parts) => cat(parts, { dim }),
      inputs: shapes.map(shape => ({ shape })),
      wantShape,
    })
  })

  it('gives a gradient to the parts that need one', () => {
    checkOp({
      name: 'cat',
      fn: (...parts) => cat(parts),
      inputs: [{ shape: [2], constant: true }, { shape: [3] }],
    })
  })

  it('is undone by slice', () => {
    const part = fc.tuple(fc.integer({ min: 0, max: 6 }), fc.integer({ min: 0, max: 6 }))
    for (const { make } of backends) {
      const backend = make()
      fc.assert(
        fc.property(part, fc.integer({ min: 1, max: 5 }), ([first, second], width) => {
          withBackend(backend, () => {
            const a = tensor(counting(first * width), [width, first])
            const b = tensor(counting(second * width), [width, second])
            const both = cat([a, b], { dim: 1 })
            expect(slice(both, 1, 0, first).dataSync()).toEqual(a.dataSync())
            expect(slice(both, 1, first).dataSync()).toEqual(b.dataSync())
          })
        }),
        { numRuns: 40 },
      )
    }
  })

  it('says what does not fit', () => {
    const a = tensor([1, 2], [1, 2])
    const b = tensor([1, 2, 3], [1, 3])
    expect(() => cat([a, b])).toThrow(
      'cat: expected sizes that differ along dim 0 only, got [1, 2] and [1, 3]',
    )
    expect(() => cat([a, tensor([1], [1])], { dim: 1 })).toThrow('along dim 1 only')
    expect(() => cat([tensor([1], [1]), a], { dim: 0 })).toThrow('along dim 0 only')
    expect(() => cat([a, tensor([1, 2], [1, 2], { dtype: 'int32' })])).toThrow('only int32')
    expect(() => cat([])).toThrow('cat: expected at least one tensor, got none')
  })
})

describe.each(backends)('integers on $name', ({ make }) => {
  it('stay integers', () => {
    withBackend(make(), () => {
      // Bits that are a NaN as a float, and would not survive arithmetic.
      const x = tensor([0x7fc12345, -1, 2, 3], [2, 2], { dtype: 'int32' })
      const moved = [
        permute(x, [1, 0]),
        cat([slice(x, 0, 0, 1), slice(x, 0, 1)]),
        expand(slice(x, 1, 0, 1), [2, 2]),
      ]
      expect(moved.map(({ dtype }) => dtype)).toEqual(['int32', 'int32', 'int32'])
      expect(moved.map(y => [...y.dataSync()])).toEqual([
        [0x7fc12345, 2, -1, 3],
        [0x7fc12345, -1, 2, 3],
        [0x7fc12345, 0x7fc12345, 2, 2],
      ])
    })
  })
})

describe('a copy', () => {
  /** The sizes that the kernel is called with, for elements read by strides and written in order. */
  function callsFor(shape: readonly number[], strides: readonly number[]): number[][] {
    const calls: number[][] = []
    const copy_strided = (...parameters: unknown[]) => calls.push(parameters.slice(-4) as number[])
    const context = { backend: { kernels: () => ({ copy_strided }) } }
    const buffer = new Float64Array(0)
    copyView(context as never, { buffer, offset: 0, strides }, whole(buffer, shape), shape)
    return calls
  }

  it.each([
    { name: 'in order is one run', shape: [2, 3, 4], strides: [12, 4, 1], want: [1, 1, 1, 24] },
    { name: 'of a transpose', shape: [3, 2], strides: [1, 3], want: [1, 1, 3, 2] },
    { name: 'of channels', shape: [2, 4, 5, 3], strides: [60, 5, 1, 20], want: [1, 2, 20, 3] },
    { name: 'around size 1', shape: [2, 1, 4], strides: [4, 9, 1], want: [1, 1, 1, 8] },
    { name: 'with a gap', shape: [2, 3], strides: [5, 1], want: [1, 1, 2, 3] },
    { name: 'of every other element', shape: [2, 3, 4], strides: [40, 10, 2], want: [1, 2, 3, 4] },
    { name: 'of a repeat', shape: [2, 3], strides: [0, 1], want: [1, 1, 2, 3] },
    // The two axes that are contiguous on a side come last.
    { name: 'of axes reversed', shape: [4, 3, 2], strides: [1, 4, 12], want: [1, 3, 4, 2] },
  ])('$name', ({ shape, strides, want }) => {
    expect(callsFor(shape, strides)).toEqual([want])
  })

  it('of more than four axes is a call for each index of the others', () => {
    const reversed = callsFor([2, 3, 4, 5, 6], [1, 2, 6, 24, 120])
    expect(reversed).toEqual(Array.from({ length: 3 }, () => [4, 5, 2, 6]))
    expect(callsFor([2, 3, 4, 5], [60, 1, 15, 3])).toHaveLength(1)
  })

  it('of nothing is no call', () => {
    expect(callsFor([2, 0, 3], [1, 1, 1])).toEqual([])
  })
})

// max, min and argmax: values, positions, ties, and where the gradient goes.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { backward, step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { argmax } from '../../src/ops/argmax.ts'
import { max } from '../../src/ops/max.ts'
import { min } from '../../src/ops/min.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

describe.each([
  { name: 'max', fn: max, pick: Math.max },
  { name: 'min', fn: min, pick: Math.min },
])('$name', ({ name, fn, pick }) => {
  it.each([1, 2, 3, 4, 5, 7, 8, 9, 17])('of %i along every axis', size => {
    for (const [dim, shape] of [
      [0, [size, 3]],
      [1, [2, size, 3]],
      [-1, [3, size]],
    ] as const) {
      checkOp({ name, fn: x => fn(x, { dim }).values, inputs: [{ shape }] })
    }
  })

  it('keeps the axis where asked, and takes all elements where none is named', () => {
    const data = [3, 1, 2, 9, 8, 7]
    const inputs = [{ shape: [2, 3], data }]
    checkOp({ name, fn: x => fn(x, { dim: 1, keepdim: true }).values, inputs, wantShape: [2, 1] })
    checkOp({ name, fn: x => fn(x), inputs, wantShape: [], want: [pick(...data)] })
  })

  it('has nothing to give for an empty axis', () => {
    expect(() => fn(tensor([], [2, 0]), { dim: 1 })).toThrow(
      `${name}: expected at least one element along dim [1], got [2, 0]`,
    )
    expect(fn(tensor([], [0, 2]), { dim: 1 }).values.shape).toEqual([0])
  })

  it('of a scalar is the scalar', () => {
    const { values, indices } = fn(tensor([3], []), { dim: 0 })
    expect([values.itemSync(), indices.itemSync()]).toEqual([3, 0])
  })

  it.each([{ keepdim: true }, { dim: [0, 1] }, { dim: 2 }])('takes one axis, not %j', options => {
    const x = tensor([1, 5, 3, 2], [2, 2])
    expect(() => fn(x, options as { dim: number })).toThrow(/axis .* does not exist/)
  })
})

describe.each(backends)('ties on $name', ({ make }) => {
  const x = [1, 4, 4, 0, 0, 4]

  it('the first of equals is found and gets the gradient', () => {
    withBackend(make(), () => {
      const input = tensor(x, [2, 3], { requiresGrad: true })
      const found = step(() => {
        const largest = max(input, { dim: 1 })
        backward(largest.values, tensor([10, 20], [2]))
        return largest
      })
      expect([...found.indices.dataSync()]).toEqual([1, 2])
      expect([...(input.grad?.dataSync() ?? [])]).toEqual([0, 10, 0, 0, 0, 20])
      const smallest = min(tensor(x, [2, 3]), { dim: 1 })
      expect([...smallest.values.dataSync()]).toEqual([1, 0])
      expect([...smallest.indices.dataSync()]).toEqual([0, 0])
    })
  })

  it('argmax takes one axis or all, and finds NaN', () => {
    withBackend(make(), () => {
      const input = tensor(x, [2, 3])
      expect(argmax(input).shape).toEqual([])
      expect(argmax(input).dtype).toBe('int32')
      expect(argmax(input).itemSync()).toBe(1)
      expect([...argmax(input, { dim: 0 }).dataSync()]).toEqual([0, 0, 0])
      expect(argmax(input, { dim: -1, keepdim: true }).shape).toEqual([2, 1])
      expect(argmax(tensor([1, Number.NaN, 3, Number.NaN], [4])).itemSync()).toBe(1)
      expect(() => argmax(tensor([], [0]))).toThrow('argmax: expected at least one element')
    })
  })
})

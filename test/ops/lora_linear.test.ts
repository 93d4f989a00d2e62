// What a low-rank update must fit, beside what the properties of LoRA say: every operand is checked before a
// kernel reads it.

import { LowrankError, loraLinear, type Shape, tensor } from 'lowrank'
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { backends } from '../support/backends.ts'

const zeros = (shape: Shape) =>
  tensor(new Float32Array(shape.reduce((n, size) => n * size, 1)), shape)

describe.each(backends)('loraLinear on $name', ({ make }) => {
  it.each([
    ['A', { A: [2, 5] }],
    ['B', { B: [3, 1] }],
    ['a short bias of B', { bias: [1] }],
    ['a long bias of B', { bias: [4] }],
    ['a matrix as the bias of B', { bias: [3, 1] }],
  ] satisfies [string, Readonly<Record<string, Shape>>][])(
    'refuses %s that does not fit',
    (_, shapes) => {
      const { A, B, bias } = { A: [2, 4], B: [3, 2], bias: [3], ...shapes }
      const run = (): unknown =>
        withBackend(make(), () =>
          loraLinear(zeros([2, 4]), zeros([3, 4]), undefined, [
            { A: zeros(A), B: zeros(B), bias: zeros(bias), scale: 2 },
          ]),
        )
      expect(run).toThrow(LowrankError)
      expect(run).toThrow('loraLinear: ')
    },
  )

  const updated = (shape: Shape, rows: readonly (readonly [number, number])[]): number[] =>
    withBackend(make(), () => {
      const x = tensor(new Float32Array(shape.reduce((n, size) => n * size, 1)).fill(1), shape)
      const [A, B] = [tensor([1, 1], [1, 2]), tensor([1], [1, 1])]
      return [...loraLinear(x, undefined, undefined, [{ A, B, scale: 2, rows }]).dataSync()]
    })

  it.each([
    { shape: [3, 2], rows: [[1, 2]], want: [0, 4, 0] },
    { shape: [2, 2, 2], rows: [[1, 2]], want: [0, 0, 4, 4] },
    { shape: [2], rows: [[0, 1]], want: [4] },
    { shape: [2], rows: [], want: [0] },
    { shape: [0, 2], rows: [[0, 0]], want: [] },
  ] satisfies {
    shape: Shape
    rows: [number, number][]
    want: number[]
  }[])('updates rows $rows of a batch $shape', ({ shape, rows, want }) => {
    expect(updated(shape, rows)).toEqual(want)
  })

  it.each([
    [0, 4],
    [-1, 2],
    [2, 1],
    [0.5, 2],
    [0, 1.5],
  ])('refuses the rows %d to %d of 3', (start, end) => {
    expect(() => updated([3, 2], [[start, end]])).toThrow(
      `loraLinear: expected rows within the batch of 3, got ${start} to ${end}`,
    )
  })

  it('refuses a layer of nothing', () => {
    const run = () => withBackend(make(), () => loraLinear(zeros([2, 4]), undefined, undefined, []))
    expect(run).toThrow('loraLinear: expected a weight or an update, got neither')
  })
})

// reshape: the same elements under another shape, one size found from the others, and what does not fit.

import { describe, expect, it } from 'vitest'
import { tensor } from '../../src/core/tensor.ts'
import { reshape } from '../../src/ops/reshape.ts'
import { checkOp } from '../support/op.ts'

describe('reshape', () => {
  it.each([
    { from: [2, 6], to: [3, 4], want: [3, 4] },
    { from: [2, 6], to: [-1], want: [12] },
    { from: [2, 6], to: [3, -1, 2], want: [3, 2, 2] },
    { from: [0, 3], to: [-1, 3], want: [0, 3] },
    { from: [0, 3], to: [5, 0], want: [5, 0] },
    { from: [1], to: [], want: [] },
  ])('from $from to $to', ({ from, to, want }) => {
    const count = from.reduce((n, size) => n * size, 1)
    const data = Array.from({ length: count }, (_, i) => i)
    const inputs = [{ shape: from, data }]
    checkOp({ name: 'reshape', fn: x => reshape(x, to), inputs, want: data, wantShape: want })
  })

  it.each([
    [
      [2, 6],
      [5, 2],
    ],
    [
      [2, 6],
      [5, -1],
    ],
    [
      [2, 6],
      [-1, -1],
    ],
    [
      [2, 6],
      [-3, -4],
    ],
    [
      [2, 6],
      [1.5, 8],
    ],
    [
      [0, 3],
      [0, -1],
    ],
    [
      [0, 3],
      [0, -2],
    ],
    [
      [0, 3],
      [0, 0.5],
    ],
  ])('refuses %j as %j', (from, to) => {
    const count = from.reduce((n, size) => n * size, 1)
    const x = tensor(new Float32Array(count), from)
    expect(() => reshape(x, to)).toThrow(
      `reshape: [${from.join(', ')}] has ${count} elements, which do not fit [${to.join(', ')}]`,
    )
  })
})

// Embedding: widths around vectors, repeated and padding rows, tables in every stored form.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { narrow, widen } from '../../src/core/half.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { Random } from '../../src/core/rng.ts'
import { tensor } from '../../src/core/tensor.ts'
import { embedding } from '../../src/ops/embedding.ts'
import { linear } from '../../src/ops/linear.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

const random = new Random(41, 'embedding')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

describe('embedding', () => {
  it.each([0, 1, 3, 4, 5, 8, 9])('reads rows of %i', C => {
    const weight = draws(6 * C)
    const index = [5, 0, 0, 3, 5, 5]
    checkOp({
      name: `embedding of ${C}`,
      fn: (rows, w) => embedding(rows, w),
      inputs: [
        { shape: [2, 3], data: index, dtype: 'int32' },
        { shape: [6, C], data: weight },
      ],
      want: index.flatMap(row => Array.from(weight.subarray(row * C, (row + 1) * C))),
      wantShape: [2, 3, C],
    })
  })

  it('reads no rows, and one by a scalar', () => {
    checkOp({
      name: 'no rows',
      fn: (rows, w) => embedding(rows, w),
      inputs: [{ shape: [0], data: [], dtype: 'int32' }, { shape: [2, 3] }],
      wantShape: [0, 3],
    })
    checkOp({
      name: 'a scalar index',
      fn: (rows, w) => embedding(rows, w),
      inputs: [{ shape: [], data: [1], dtype: 'int32' }, { shape: [2, 3] }],
      wantShape: [3],
    })
  })

  it('gives the padding row no gradient', () => {
    checkOp({
      name: 'padding',
      fn: (rows, w) => embedding(rows, w, { paddingIdx: 0 }),
      inputs: [{ shape: [3], data: [2, 0, 2], dtype: 'int32' }, { shape: [3, 4] }],
      // The value of the padding row is used, so that finite differences see it.
      gradcheck: false,
    })
  })

  it.each(backends)('on $name reads half-precision tables, in rows and in panels', ({ make }) => {
    const [V, C] = [11, 6]
    const index = [10, 0, 7, 8]
    withBackend(make(), () => {
      for (const dtype of ['float32', 'float16', 'bfloat16'] as const) {
        const values = draws(V * C)
        const stored = dtype === 'float32' ? values : narrow(values, dtype)
        const exact = stored instanceof Uint16Array ? widen(stored, dtype as 'float16') : stored
        const want = index.flatMap(row => Array.from(exact.subarray(row * C, (row + 1) * C)))
        const table = new Parameter(stored, [V, C], { dtype })
        table.freeze()
        const rows = tensor(index, [4], { dtype: 'int32' })
        expect(Array.from(embedding(rows, table).dataSync()), dtype).toEqual(want)
        // The first product packs the frozen table, as a head tied to it would.
        linear(tensor(draws(C), [1, C]), table)
        expect(Array.from(embedding(rows, table).dataSync()), `${dtype} packed`).toEqual(want)
      }
    })
  })

  it('says what does not fit', () => {
    const table = tensor(draws(6), [3, 2])
    const rows = (data: number[]) => tensor(data, [data.length], { dtype: 'int32' })
    expect(() => embedding(rows([0, 3]), table)).toThrow(
      'embedding: expected indices from 0 to 2, got 3 at position 1',
    )
    expect(() => embedding(rows([-1]), table)).toThrow('got -1 at position 0')
    expect(() => embedding(rows([0]), tensor(draws(3), [3]))).toThrow(
      'embedding: weight: expected [V, C], got [3]',
    )
    for (const paddingIdx of [3, -4, 0.5]) {
      expect(() => embedding(rows([0]), table, { paddingIdx })).toThrow(
        `embedding: expected paddingIdx in -3 … 2, got ${paddingIdx}`,
      )
    }
    expect(() => embedding(tensor([0], [1]), table)).toThrow(
      'embedding: expected int32, got float32',
    )
  })
})

// RMS normalisation: widths around vectors and blocks, many rows, optional operands.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { rmsNorm } from '../../src/ops/rms_norm.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

const random = new Random(7, 'rms_norm')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

describe('rmsNorm', () => {
  it.each([0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 127, 128, 129, 257])('%i columns', C => {
    const gradcheck = C <= 17 ? {} : (false as const)
    checkOp({
      name: `rmsNorm ${C}`,
      // With a small eps the gradient of a row of one element is all cancellation.
      fn: (x, weight) => rmsNorm(x, weight, { eps: 0.1, offset: 0.5 }),
      inputs: [{ shape: [2, 3, C] }, { shape: [C] }],
      wantShape: [2, 3, C],
      gradcheck,
    })
  })

  it.each([0, 1, 63, 64, 65, 129])('%i rows', rows => {
    checkOp({
      name: `rmsNorm ${rows} rows`,
      fn: (x, weight) => rmsNorm(x, weight),
      inputs: [{ shape: [rows, 5] }, { shape: [5] }],
      gradcheck: rows < 2 ? {} : false,
    })
  })

  it('leaves the weight out', () => {
    checkOp({
      name: 'rmsNorm without weight',
      fn: x => rmsNorm(x),
      inputs: [{ shape: [2, 6] }],
    })
  })

  it('gives only the gradients that are needed', () => {
    checkOp({
      name: 'rmsNorm, frozen weight',
      fn: (x, weight) => rmsNorm(x, weight),
      inputs: [{ shape: [3, 6] }, { shape: [6], constant: true }],
    })
    checkOp({
      name: 'rmsNorm, constant x',
      fn: (x, weight) => rmsNorm(x, weight),
      inputs: [{ shape: [3, 6], constant: true }, { shape: [6] }],
    })
  })

  it('is what its formula says for any row', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -100_000, max: 100_000 }), { minLength: 1, maxLength: 40 }),
        thousandths => {
          const row = thousandths.map(value => Math.fround(value / 1000))
          const squares = row.reduce((sum, value) => sum + value * value, 0)
          const r = 1 / Math.sqrt(squares / row.length + 1e-3)
          checkOp({
            name: 'rmsNorm formula',
            fn: x => rmsNorm(x, undefined, { eps: 1e-3 }),
            inputs: [{ shape: [1, row.length], data: row, constant: true }],
            want: row.map(value => value * r),
            gradcheck: false,
          })
        },
      ),
    )
  })

  it.each(backends)('on $name gives a row the same bits alone as in a batch', ({ make }) => {
    const [rows, C] = [5, 131]
    const data = draws(rows * C)
    withBackend(make(), () => {
      const weight = tensor(draws(C), [C])
      const all = rmsNorm(tensor(data, [rows, C]), weight).dataSync()
      for (let row = 0; row < rows; row++) {
        const alone = rmsNorm(tensor(data.slice(row * C, (row + 1) * C), [1, C]), weight)
        expect(alone.dataSync()).toEqual(all.slice(row * C, (row + 1) * C))
      }
    })
  })

  // Partial sums are f32 over 64 rows and f64 beyond: the error is at most 64 units of 2⁻²⁴ of the
  // sum of magnitudes, which here is the sum itself.
  it.each(backends)('on $name adds 100000 rows without drifting', ({ make }) => {
    const rows = 100_000
    withBackend(make(), () => {
      const weight = tensor([1], [1], { requiresGrad: true })
      step(() => {
        const y = rmsNorm(tensor(new Float32Array(rows).fill(0.1), [rows, 1]), weight, { eps: 0 })
        backward(y, tensor(new Float32Array(rows).fill(0.1), [rows, 1]))
      })
      const want = rows * Math.fround(0.1)
      expect(Math.abs((weight.grad?.itemSync() ?? 0) / want - 1)).toBeLessThan(64 / 2 ** 24)
    })
  })

  it('names the shapes that do not fit', () => {
    const x = tensor(draws(6), [2, 3])
    expect(() => rmsNorm(x, tensor([1, 1], [2]))).toThrow(
      'rmsNorm: weight: expected [C] with C = 3, got [2]',
    )
    expect(() => rmsNorm(tensor([1], []))).toThrow('rmsNorm: x: expected [...rows, C], got []')
  })
})

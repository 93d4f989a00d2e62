// Layer normalisation: widths around vectors and blocks, many rows, optional operands.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { layerNorm } from '../../src/ops/layer_norm.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

const random = new Random(8, 'layer_norm')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

describe('layerNorm', () => {
  it.each([0, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 127, 128, 129, 257])('%i columns', C => {
    const gradcheck = C <= 17 ? {} : (false as const)
    checkOp({
      name: `layerNorm ${C}`,
      fn: (x, weight, bias) => layerNorm(x, weight, bias, { eps: 1e-3 }),
      inputs: [{ shape: [2, 3, C] }, { shape: [C] }, { shape: [C] }],
      wantShape: [2, 3, C],
      gradcheck,
    })
  })

  it.each([0, 1, 63, 64, 65, 129])('%i rows', rows => {
    checkOp({
      name: `layerNorm ${rows} rows`,
      fn: (x, weight, bias) => layerNorm(x, weight, bias),
      inputs: [{ shape: [rows, 5] }, { shape: [5] }, { shape: [5] }],
      gradcheck: rows < 2 ? {} : false,
    })
  })

  it('takes several axes together', () => {
    checkOp({
      name: 'layerNorm over two axes',
      fn: (x, weight, bias) => layerNorm(x, weight, bias, { axes: 2 }),
      inputs: [{ shape: [3, 2, 5] }, { shape: [2, 5] }, { shape: [2, 5] }],
    })
  })

  it('works without weight and bias, or with one of them', () => {
    checkOp({ name: 'plain', fn: x => layerNorm(x), inputs: [{ shape: [2, 6] }] })
    checkOp({
      name: 'weight alone',
      fn: (x, weight) => layerNorm(x, weight),
      inputs: [{ shape: [2, 6] }, { shape: [6] }],
    })
    checkOp({
      name: 'bias alone',
      fn: (x, bias) => layerNorm(x, undefined, bias),
      inputs: [{ shape: [2, 6] }, { shape: [6] }],
    })
  })

  it('gives only the gradients that are needed', () => {
    checkOp({
      name: 'frozen weight and bias',
      fn: (x, weight, bias) => layerNorm(x, weight, bias),
      inputs: [{ shape: [3, 6] }, { shape: [6], constant: true }, { shape: [6], constant: true }],
    })
    checkOp({
      name: 'bias only',
      fn: (x, weight, bias) => layerNorm(x, weight, bias),
      inputs: [{ shape: [3, 6], constant: true }, { shape: [6], constant: true }, { shape: [6] }],
    })
  })

  it.each(backends)('on $name gives a row the same bits alone as in a batch', ({ make }) => {
    const [rows, C] = [5, 131]
    const data = draws(rows * C)
    withBackend(make(), () => {
      const weight = tensor(draws(C), [C])
      const bias = tensor(draws(C), [C])
      const all = layerNorm(tensor(data, [rows, C]), weight, bias).dataSync()
      for (let row = 0; row < rows; row++) {
        const x = tensor(data.slice(row * C, (row + 1) * C), [1, C])
        const alone = layerNorm(x, weight, bias).dataSync()
        expect(alone).toEqual(all.slice(row * C, (row + 1) * C))
      }
    })
  })

  // As for rmsNorm: 64 f32 additions, then f64.
  it.each(backends)('on $name adds 100000 rows without drifting', ({ make }) => {
    const rows = 100_000
    withBackend(make(), () => {
      const bias = tensor([0], [1], { requiresGrad: true })
      step(() => {
        const y = layerNorm(tensor(new Float32Array(rows), [rows, 1]), undefined, bias)
        backward(y, tensor(new Float32Array(rows).fill(0.1), [rows, 1]))
      })
      const want = rows * Math.fround(0.1)
      expect(Math.abs((bias.grad?.itemSync() ?? 0) / want - 1)).toBeLessThan(64 / 2 ** 24)
    })
  })

  it('says what does not fit', () => {
    const x = tensor(draws(6), [2, 3])
    expect(() => layerNorm(x, tensor([1, 1], [2]))).toThrow(
      'layerNorm: weight: expected [3], got [2]',
    )
    expect(() => layerNorm(x, undefined, tensor([1, 1], [2]))).toThrow(
      'layerNorm: bias: expected [3], got [2]',
    )
    for (const axes of [3, 0, -1, 1.5]) {
      expect(() => layerNorm(x, undefined, undefined, { axes })).toThrow(
        `layerNorm: axes must be from 1 to 2 for x [2, 3], got ${axes}`,
      )
    }
    expect(layerNorm(x, undefined, undefined, { axes: 2 }).shape).toEqual([2, 3])
  })
})

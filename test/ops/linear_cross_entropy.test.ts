// linearCrossEntropy: the values and gradients of linear followed by crossEntropy, the same bits where dy
// is a power of two, for every option, dtype and chunk edge; the logits are never held whole.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import type { DType } from '../../src/core/dtype.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { type CrossEntropyOptions, crossEntropy } from '../../src/ops/cross_entropy.ts'
import { linear } from '../../src/ops/linear.ts'
import { chunkRows, linearCrossEntropy } from '../../src/ops/linear_cross_entropy.ts'
import { mul } from '../../src/ops/mul.ts'
import { backends } from '../support/backends.ts'
import { checkOp, type OpInput } from '../support/op.ts'

const IGNORED = -100

const random = new Random(23, 'linear_cross_entropy')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

function classes(rows: number, V: number, ...ignored: number[]): Int32Array {
  return Int32Array.from({ length: rows }, (_, i) =>
    ignored.includes(i) ? IGNORED : (i * 7 + 3) % V,
  )
}

const inputs = (rows: number, C: number, V: number, ...ignored: number[]): OpInput[] => [
  { shape: [rows, C], low: -2, high: 2 },
  { shape: [V, C], low: -2, high: 2 },
  { shape: [rows], data: classes(rows, V, ...ignored), dtype: 'int32' },
]

const options: readonly CrossEntropyOptions[] = [
  {},
  { reduction: 'sum' },
  { reduction: 'none' },
  { labelSmoothing: 0.1 },
  { labelSmoothing: 1, reduction: 'sum' },
  { labelSmoothing: 0.25, reduction: 'none' },
  { ignoreIndex: 3 },
]

describe('linearCrossEntropy', () => {
  it.each([
    [0, 4194304],
    [1, 4194304],
    [50257, 64],
    [131072, 32],
    [262144, 32],
  ])('of %d classes takes %d rows at a time', (V, rows) => {
    expect(chunkRows(V)).toBe(rows)
  })

  it.each(options)('with %j', option => {
    checkOp({
      name: JSON.stringify(option),
      fn: (x, w, target) => linearCrossEntropy(x, w, target, option),
      inputs: inputs(6, 5, 9, ...(option.ignoreIndex ? [] : [1, 4])),
      wantShape: option.reduction === 'none' ? [6] : [],
    })
  })

  it.each(options)('with class weights and %j', option => {
    const weight: OpInput = { shape: [9], low: 0, high: 2, constant: true }
    checkOp({
      name: `weighted ${JSON.stringify(option)}`,
      fn: (x, w, target, c) => linearCrossEntropy(x, w, target, { ...option, weight: c }),
      inputs: [...inputs(6, 5, 9), weight],
    })
  })

  it.each([
    [0, 3, 4],
    [1, 1, 1],
    [1, 8, 8],
    [3, 7, 9],
    [4, 9, 16],
    [5, 17, 33],
  ])('%i rows, %i wide, %i classes', (rows, C, V) => {
    const fn = (x: Tensor, w: Tensor, t: Tensor): Tensor =>
      linearCrossEntropy(x, w, t, { reduction: 'sum' })
    checkOp({ name: 'sizes', fn, inputs: inputs(rows, C, V) })
  })

  it.each([0, 1])('gives no gradient to input %i where it needs none', frozen => {
    for (const reduction of ['mean', 'none'] as const) {
      const fn = (x: Tensor, w: Tensor, t: Tensor): Tensor =>
        linearCrossEntropy(x, w, t, { reduction })
      const all = inputs(3, 4, 5).map((input, i) => ({ ...input, constant: i === frozen }))
      checkOp({ name: reduction, fn, inputs: all })
    }
  })

  it('says what does not fit', () => {
    const x = tensor(draws(6), [2, 3])
    const w = tensor(draws(12), [4, 3])
    const t = (...data: number[]): Tensor => tensor(data, [data.length], { dtype: 'int32' })
    const short = tensor(draws(8), [4, 2])
    expect(() => linearCrossEntropy(x, short, t(0, 1))).toThrow('linearCrossEntropy: x: expected')
    expect(() => linearCrossEntropy(x, w, t(0))).toThrow('expected a class for each of 2 rows')
    expect(() => linearCrossEntropy(x, w, t(0, 4))).toThrow('expected classes from 0 to 3')
    expect(() => linearCrossEntropy(x, w, t(0, 1), { weight: tensor([1], [1]) })).toThrow(
      'expected one weight per class, [4], got [1]',
    )
    expect(() => linearCrossEntropy(x, w, t(0, 1), { labelSmoothing: 2 })).toThrow(
      'linearCrossEntropy: expected labelSmoothing from 0 to 1, got 2',
    )
  })
})

interface Outcome {
  readonly loss: ArrayLike<number>
  readonly dx: ArrayLike<number>
  readonly dWeight: ArrayLike<number> | undefined
}

type Loss = (x: Tensor, w: Tensor, t: Tensor) => Tensor

function outcome(loss: Loss, data: Float32Array, weight: Parameter, target: Int32Array): Outcome {
  const rows = target.length
  const x = tensor(data, [rows, data.length / rows], { requiresGrad: true })
  const t = tensor(target, [rows], { dtype: 'int32' })
  const y = step(() => {
    const result = loss(x, weight, t)
    backward(result, tensor(new Float32Array(result.size).fill(1), result.shape))
    return result
  })
  const dWeight = weight.hasGrad ? weight.grad?.dataSync() : undefined
  weight.clearGrad()
  return { loss: y.dataSync(), dx: x.grad?.dataSync() ?? [], dWeight }
}

describe.each(backends)('linearCrossEntropy on $name', ({ name, make }) => {
  const dtypes: readonly DType[] = ['float32', 'float16', 'bfloat16']

  it.each(dtypes)('has the bits of linear and crossEntropy, a frozen %s weight', dtype => {
    withBackend(make(), () => {
      const [rows, C, V] = [9, 19, 37]
      const data = draws(rows * C)
      const frozen = new Parameter(draws(V * C), [V, C], { dtype, requiresGrad: false })
      for (const option of options) {
        const fused: Loss = (x, w, t) => linearCrossEntropy(x, w, t, option)
        const apart: Loss = (x, w, t) => crossEntropy(linear(x, w), t, option)
        const target = classes(rows, V, ...(option.ignoreIndex ? [] : [2]))
        expect(outcome(fused, data, frozen, target)).toEqual(outcome(apart, data, frozen, target))
      }
    })
  })

  it('has the same bits with any power of two as dy', () => {
    withBackend(make(), () => {
      const [rows, C, V] = [5, 8, 11]
      const data = draws(rows * C)
      const weight = new Parameter(draws(V * C), [V, C])
      const fused: Loss = (x, w, t) => mul(linearCrossEntropy(x, w, t), 0.25)
      const apart: Loss = (x, w, t) => mul(crossEntropy(linear(x, w), t), 0.25)
      const target = classes(rows, V)
      expect(outcome(fused, data, weight, target)).toEqual(outcome(apart, data, weight, target))
    })
  })

  it('gives a weight without rows a gradient of 0', () => {
    withBackend(make(), () => {
      const weight = new Parameter(draws(6), [3, 2])
      // The first run leaves its numbers in memory.
      outcome(linearCrossEntropy, draws(8), weight, classes(4, 3))
      const x = tensor([], [0, 2])
      const target = tensor([], [0], { dtype: 'int32' })
      step(() => backward(linearCrossEntropy(x, weight, target, { reduction: 'sum' })))
      expect([...(weight.grad?.dataSync() ?? [])]).toEqual([0, 0, 0, 0, 0, 0])
    })
  })

  // Sizes at which the reference's loops would take minutes, and a GPU in software half of one.
  it.skipIf(name !== 'wasm')('has the same bits over several chunks, one row cut off', () => {
    withBackend(make(), () => {
      const [C, V] = [4, 131072]
      const rows = 2 * chunkRows(V) + 1
      const data = draws(rows * C)
      const weight = new Parameter(draws(V * C), [V, C], { requiresGrad: false })
      const target = classes(rows, V, 0, 40)
      for (const reduction of ['mean', 'none'] as const) {
        const fused: Loss = (x, w, t) => linearCrossEntropy(x, w, t, { reduction })
        const apart: Loss = (x, w, t) => crossEntropy(linear(x, w), t, { reduction })
        expect(outcome(fused, data, weight, target)).toEqual(outcome(apart, data, weight, target))
      }
    })
  })

  it.skipIf(name === 'reference')('adds dW up over chunks', () => {
    withBackend(make(), () => {
      const [C, V] = [2, 131072]
      const rows = 2 * chunkRows(V)
      const data = draws(rows * C)
      const weight = new Parameter(draws(V * C), [V, C])
      const target = classes(rows, V)
      const fused: Loss = (x, w, t) => linearCrossEntropy(x, w, t, { reduction: 'sum' })
      const apart: Loss = (x, w, t) => crossEntropy(linear(x, w), t, { reduction: 'sum' })
      const got = outcome(fused, data, weight, target).dWeight as Float32Array
      const want = outcome(apart, data, weight, target).dWeight as Float32Array
      // Each element is a sum of `rows` products below 1 in another order: 2·rows roundings of 2⁻²⁴.
      const worst = got.reduce((most, value, i) => Math.max(most, Math.abs(value - want[i])), 0)
      expect(worst).toBeLessThanOrEqual(2 * rows * 2 ** -24)
    })
  })

  it.skipIf(name !== 'wasm')('holds the logits of one chunk at most', () => {
    const backend = make()
    withBackend(backend, () => {
      const [C, V] = [8, 65536]
      const rows = 4 * chunkRows(V)
      const weight = new Parameter(draws(V * C), [V, C], { requiresGrad: false })
      const data = draws(rows * C)
      const target = classes(rows, V)
      const fused: Loss = (x, w, t) => linearCrossEntropy(x, w, t)
      outcome(fused, data, weight, target)
      const before = backend.memory().used
      backend.resetPeak()
      outcome(fused, data, weight, target)
      const chunk = 4 * chunkRows(V) * V
      expect(backend.memory().peak - before).toBeLessThan(1.1 * chunk)
      expect(backend.memory().used).toBe(before)
    })
  })
})

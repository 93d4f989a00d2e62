// The losses that compare element by element: every reduction, gradients of input and target, and what
// is refused. Their values are those of the golden cases.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { binaryCrossEntropyWithLogits } from '../../src/ops/binary_cross_entropy_with_logits.ts'
import { klDiv } from '../../src/ops/kl_div.ts'
import type { Reduction } from '../../src/ops/loss.ts'
import { mseLoss } from '../../src/ops/mse_loss.ts'
import { backends } from '../support/backends.ts'
import { checkOp, type OpInput } from '../support/op.ts'

interface LossCase {
  readonly name: string
  readonly fn: (x: Tensor, target: Tensor, options: { reduction?: Reduction }) => Tensor
  /** Where targets are drawn from. */
  readonly low: number
  readonly high: number
}

const bce = binaryCrossEntropyWithLogits

const losses: readonly LossCase[] = [
  { name: 'mseLoss', fn: mseLoss, low: -1, high: 1 },
  { name: 'binaryCrossEntropyWithLogits', fn: bce, low: 0.1, high: 0.9 },
  { name: 'klDiv', fn: klDiv, low: 0.1, high: 1 },
  {
    name: 'klDiv',
    fn: (x, target, options) => klDiv(x, target, { ...options, logTarget: true }),
    low: -2,
    high: 0,
  },
]

const reductions: readonly (Reduction | undefined)[] = [undefined, 'mean', 'sum', 'none']

describe.each(losses)('$name', ({ name, fn, low, high }) => {
  const inputs = (shape: readonly number[]): OpInput[] => [
    { shape, low: -2, high: 1 },
    { shape, low, high },
  ]

  it.each(reductions)('reduced by %s', reduction => {
    checkOp({
      name: `${name} ${reduction}`,
      fn: (x, target) => fn(x, target, { reduction }),
      inputs: inputs([3, 5]),
      wantShape: reduction === 'none' ? [3, 5] : [],
    })
  })

  it.each([1, 3, 4, 5, 8, 9, 33])('of %d elements', count => {
    checkOp({ name: `${name} ${count}`, fn: (x, t) => fn(x, t, {}), inputs: inputs([count]) })
  })

  it.each(backends)('of nothing on $name: its mean is NaN, its sum 0', ({ make }) => {
    withBackend(make(), () => {
      const none = tensor([], [0, 3])
      expect(fn(none, none, {}).itemSync()).toBe(Number.NaN)
      expect(fn(none, none, { reduction: 'sum' }).itemSync()).toBe(0)
      expect(fn(none, none, { reduction: 'none' }).shape).toEqual([0, 3])
    })
  })

  it('refuses shapes that differ', () => {
    expect(() => fn(tensor([1, 2], [2]), tensor([1, 2], [1, 2]), {})).toThrow(
      `${name}: the input is [2], the target [1, 2]`,
    )
  })

  it.each(backends)('is as exact for four million elements on $name', ({ make }) => {
    // Every element is the same, so that the mean is the element: 1e-6 is what a naive float32 sum
    // misses by a factor of hundreds.
    const count = make().precision === 64 ? 4096 : 2 ** 22
    withBackend(make(), () => {
      const x = new Float32Array(count).fill(0.7)
      const t = new Float32Array(count).fill(0.4)
      const one = fn(tensor([0.7], [1]), tensor([0.4], [1]), { reduction: 'sum' }).itemSync()
      const mean = fn(tensor(x, [count]), tensor(t, [count]), {}).itemSync()
      expect(Math.abs(mean - one) / Math.abs(one)).toBeLessThanOrEqual(2 ** -23)
    })
  })
})

describe('klDiv', () => {
  it('divides by the size of the first axis for batchmean', () => {
    checkOp({
      name: 'klDiv batchmean',
      fn: (x, t) => klDiv(x, t, { reduction: 'batchmean' }),
      inputs: [
        { shape: [2, 2], data: [-1, -1, -1, -1] },
        { shape: [2, 2], data: [1, 1, 1, 1] },
      ],
      want: [2],
    })
  })

  it.each(backends)('has no part in answers of probability 0 on $name', ({ make }) => {
    withBackend(make(), () => {
      const x = tensor([-1, Number.NEGATIVE_INFINITY], [2])
      const target = tensor([1, 0], [2], { requiresGrad: true })
      const y = step(() => {
        const elements = klDiv(x, target, { reduction: 'none' })
        backward(elements, tensor([1, 1], [2]))
        return elements
      })
      expect([...y.dataSync()]).toEqual([1, 0])
      expect([...(target.grad?.dataSync() ?? [])]).toEqual([2, 0])
    })
  })
})

describe('binaryCrossEntropyWithLogits', () => {
  const weights: readonly OpInput[] = [
    { shape: [3, 5], low: -3, high: 3 },
    { shape: [3, 5], low: 0.1, high: 0.9 },
    { shape: [5], low: 0.5, high: 2, constant: true },
    { shape: [3, 1], low: 0.5, high: 2, constant: true },
  ]

  it.each(reductions)('weighted, reduced by %s', reduction => {
    checkOp({
      name: 'weighted',
      fn: (x, t, posWeight, weight) => bce(x, t, { posWeight, weight, reduction }),
      inputs: weights,
    })
  })

  it('weighs each element, and then reduces', () => {
    const inputs = [
      { shape: [2], data: [0, 0] },
      { shape: [2], data: [1, 0], constant: true },
      { shape: [2], data: [1, 3], constant: true },
    ]
    const wants = { none: [Math.LN2, 3 * Math.LN2], sum: [4 * Math.LN2], mean: [2 * Math.LN2] }
    for (const reduction of ['none', 'sum', 'mean'] as const) {
      const fn = (x: Tensor, t: Tensor, weight: Tensor) => bce(x, t, { weight, reduction })
      checkOp({ name: `bce ${reduction}`, fn, inputs, want: wants[reduction] })
    }
  })

  it.each(backends)('stays finite and exact for large logits on $name', ({ make }) => {
    const y = withBackend(make(), () => {
      const x = tensor([1000, -1000, 1000, -1000, 20], [5])
      return bce(x, tensor([1, 0, 0, 1, 1], [5]), { reduction: 'none' })
    })
    const want = [0, 0, 1000, 1000, 2.0611536181902037e-9]
    y.dataSync().forEach((value, i) => {
      expect(Math.abs(value - want[i])).toBeLessThanOrEqual(2 ** -22 * want[i])
    })
  })

  it('refuses weights that do not fit or want a gradient', () => {
    const x = tensor([1, 2], [2])
    const three = tensor([1, 1, 1], [1, 3])
    expect(() => bce(x, x, { weight: tensor([1, 1], [2, 1]) })).toThrow(
      'weight [2, 1] does not broadcast to the input',
    )
    expect(() => bce(x, x, { posWeight: three })).toThrow('shapes do not broadcast')
    const trained = tensor([1], [1], { requiresGrad: true })
    expect(() => bce(x, x, { posWeight: trained })).toThrow('weights are constants')
  })
})

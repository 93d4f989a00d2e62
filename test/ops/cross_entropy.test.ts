// crossEntropy: parity and gradients for every option, exactness over a vocabulary, rows that do not
// know of each other, memory, and what is refused. Its values are those of the golden cases.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { scoped } from '../../src/core/scope.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { add } from '../../src/ops/add.ts'
import { argmax } from '../../src/ops/argmax.ts'
import { type CrossEntropyOptions, crossEntropy } from '../../src/ops/cross_entropy.ts'
import { logsumexp } from '../../src/ops/logsumexp.ts'
import { mul } from '../../src/ops/mul.ts'
import { backends } from '../support/backends.ts'
import { checkOp, type OpInput } from '../support/op.ts'

const IGNORED = -100

function classes(count: number, size: number, ...ignored: number[]): Int32Array {
  return Int32Array.from({ length: count }, (_, i) =>
    ignored.includes(i) ? IGNORED : (i * 7 + 3) % size,
  )
}

function inputs(
  shape: readonly number[],
  targetShape: readonly number[],
  ...ignored: number[]
): OpInput[] {
  const count = targetShape.reduce((product, size) => product * size, 1)
  const size = shape[Math.min(1, shape.length - 1)]
  return [
    { shape, low: -4, high: 4 },
    { shape: targetShape, data: classes(count, size, ...ignored), dtype: 'int32' },
  ]
}

const options: readonly CrossEntropyOptions[] = [
  {},
  { reduction: 'sum' },
  { reduction: 'none' },
  { labelSmoothing: 0.1 },
  { labelSmoothing: 1, reduction: 'sum' },
  { labelSmoothing: 0.25, reduction: 'none' },
]

describe('crossEntropy', () => {
  it.each(options)('with %j', option => {
    checkOp({
      name: JSON.stringify(option),
      fn: (x, target) => crossEntropy(x, target, option),
      inputs: inputs([6, 9], [6], 1, 4),
      wantShape: option.reduction === 'none' ? [6] : [],
    })
  })

  it.each(options)('with weights and %j', option => {
    const weight: OpInput = { shape: [9], low: 0, high: 2, constant: true }
    checkOp({
      name: `weighted ${JSON.stringify(option)}`,
      fn: (x, target, w) => crossEntropy(x, target, { ...option, weight: w }),
      inputs: [...inputs([6, 9], [6], 0), weight],
    })
  })

  it.each([1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33, 130])('over %d classes', size => {
    const fn = (x: Tensor, target: Tensor): Tensor => crossEntropy(x, target)
    checkOp({ name: `${size} classes`, fn, inputs: inputs([3, size], [3]) })
    const smoothed = (x: Tensor, target: Tensor): Tensor =>
      crossEntropy(x, target, { labelSmoothing: 0.1 })
    checkOp({ name: `${size} smoothed`, fn: smoothed, inputs: inputs([3, size], [3]) })
  })

  it('takes the classes along the second axis, or the only one', () => {
    const none = (x: Tensor, target: Tensor): Tensor =>
      crossEntropy(x, target, { reduction: 'none' })
    checkOp({
      name: '4-D',
      fn: none,
      inputs: inputs([2, 5, 3, 2], [2, 3, 2], 7),
      wantShape: [2, 3, 2],
    })
    checkOp({ name: '1-D', fn: none, inputs: inputs([5], []), wantShape: [] })
  })

  it.each([
    { shape: [4], targetShape: [] },
    { shape: [2, 4, 3], targetShape: [2, 3] },
  ])('weighs the classes of logits $shape', ({ shape, targetShape }) => {
    checkOp({
      name: 'weighted',
      fn: (x, target, weight) => crossEntropy(x, target, { weight }),
      inputs: [...inputs(shape, targetShape), { shape: [4], low: 0.5, high: 2, constant: true }],
    })
  })

  it('ignores any class it is told to', () => {
    const fn = (x: Tensor, target: Tensor): Tensor => crossEntropy(x, target, { ignoreIndex: 3 })
    checkOp({ name: 'ignoreIndex', fn, inputs: inputs([6, 9], [6]) })
  })

  it('is the log-softmax at the target', () => {
    const x = [1, 2, 3, 0.5, -1, 0]
    const log = (row: readonly number[], at: number): number =>
      Math.log(row.reduce((sum, value) => sum + Math.exp(value), 0)) - row[at]
    checkOp({
      name: 'formula',
      fn: (logits, target) => crossEntropy(logits, target, { reduction: 'none' }),
      inputs: [
        { shape: [2, 3], data: x },
        { shape: [2], data: [2, 0], dtype: 'int32' },
      ],
      want: [log(x.slice(0, 3), 2), log(x.slice(3), 0)],
    })
  })
})

function lossAndGradient(
  data: ArrayLike<number>,
  shape: readonly number[],
  target: ArrayLike<number>,
  option: CrossEntropyOptions = {},
): { loss: ArrayLike<number>; gradient: ArrayLike<number> } {
  const x = tensor(data, shape, { requiresGrad: true })
  const t = tensor(target, [target.length], { dtype: 'int32' })
  const loss = step(() => {
    const y = crossEntropy(x, t, option)
    backward(y, tensor(new Array(y.size).fill(1), y.shape))
    return y
  })
  return { loss: loss.dataSync(), gradient: x.grad?.dataSync() ?? [] }
}

describe.each(backends)('crossEntropy on $name', ({ make }) => {
  it('is NaN as a mean of nothing, without a gradient', () => {
    withBackend(make(), () => {
      const { loss, gradient } = lossAndGradient([1, 2, 3, 4], [2, 2], [IGNORED, IGNORED])
      expect(loss[0]).toBe(Number.NaN)
      expect([...(gradient as Float32Array)].map(Math.abs)).toEqual([0, 0, 0, 0])
      expect(lossAndGradient([], [0, 5], []).loss[0]).toBe(Number.NaN)
      expect(lossAndGradient([], [0, 5], [], { reduction: 'sum' }).loss[0]).toBe(0)
    })
  })

  it('takes classes that are computed to be in range', () => {
    withBackend(make(), () => {
      const x = tensor([0, 0, 5, 5], [2, 2])
      const loss = step(() => crossEntropy(x, argmax(x, { dim: 1 })))
      expect(loss.itemSync()).toBeCloseTo(Math.LN2, 6)
    })
  })

  it('does not overflow, and keeps what tells large logits apart', () => {
    withBackend(make(), () => {
      const { loss, gradient } = lossAndGradient([1e4, 1e4 + 1, -1e30], [1, 3], [0])
      const p = 1 / (1 + Math.E)
      expect(Math.abs(loss[0] + Math.log(p))).toBeLessThanOrEqual(2e-7)
      expect(Math.abs(gradient[0] + 1 - p)).toBeLessThanOrEqual(2e-7)
      expect(gradient[2]).toBe(0)
    })
  })

  it('lets a class be forbidden by a logit of −Infinity', () => {
    withBackend(make(), () => {
      const { NEGATIVE_INFINITY: never } = Number
      const { loss, gradient } = lossAndGradient([0, never, 0, never], [1, 4], [2])
      expect(Math.abs(loss[0] - Math.LN2)).toBeLessThanOrEqual(1e-7)
      expect([...(gradient as Float32Array)]).toEqual([0.5, 0, -0.5, 0])
    })
  })

  it('computes a row alone as it does in a batch, bit for bit', () => {
    withBackend(make(), () => {
      const size = 1003
      const random = new Random(3, 'rows')
      const data = Float32Array.from({ length: 4 * size }, () => 20 * random.uniform() - 10)
      const target = classes(4, size, 2)
      const option: CrossEntropyOptions = { reduction: 'none', labelSmoothing: 0.1 }
      const batch = lossAndGradient(data, [4, size], target, option)
      for (let r = 0; r < 4; r++) {
        const row = data.slice(r * size, (r + 1) * size)
        const alone = lossAndGradient(row, [1, size], target.slice(r, r + 1), option)
        expect(alone.loss[0]).toBe(batch.loss[r])
        expect(alone.gradient).toEqual(
          (batch.gradient as Float32Array).slice(r * size, (r + 1) * size),
        )
      }
    })
  })

  it('leaves logits alone that something else still reads', () => {
    withBackend(make(), () => {
      const t = tensor([0, 1], [2], { dtype: 'int32' })
      const gradientOf = (around: (loss: () => Tensor) => Tensor): Tensor | undefined => {
        const x = tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true })
        step(() => {
          const logits = mul(x, 2)
          const loss = around(() => {
            const inner = mul(logits, 1)
            // Recorded before the cross-entropy, so that its backward reads `inner` afterwards.
            const other = logsumexp(inner)
            return add(other, crossEntropy(inner, t))
          })
          backward(loss)
          expect([...logits.dataSync()]).toEqual([2, 4, 6, 8])
        })
        return x.grad
      }
      const inScope = gradientOf(scoped)
      expect(inScope?.dataSync()).toEqual(gradientOf(loss => loss())?.dataSync())
    })
  })

  it('needs no second matrix for the gradient where the scope of the logits was left', () => {
    const backend = make()
    withBackend(backend, () => {
      const [rows, size] = [64, 512]
      const data = new Float32Array(rows * size).fill(0.1)
      const t = tensor(classes(rows, size), [rows], { dtype: 'int32' })
      const peakOf = (around: (loss: () => Tensor) => Tensor): number => {
        const x = tensor(data, [rows, size], { requiresGrad: true })
        return step(() => {
          const loss = around(() => crossEntropy(add(x, 1), t))
          backend.resetPeak()
          const before = backend.memory().used
          backward(loss)
          return backend.memory().peak - before
        })
      }
      const bytes = (rows * size * backend.precision) / 8
      expect(peakOf(scoped)).toBeLessThan(bytes / 10)
      expect(peakOf(loss => loss())).toBeGreaterThanOrEqual(bytes)
    })
  })
})

describe('crossEntropy over a vocabulary', () => {
  it('agrees with the reference to float32', () => {
    const size = 50257
    const random = new Random(5, 'vocabulary')
    const data = Float32Array.from({ length: 2 * size }, () => 12 * random.normal())
    const outcomes = backends.map(({ make }) =>
      withBackend(make(), () => lossAndGradient(data, [2, size], [17, 50256])),
    )
    for (const { loss, gradient } of outcomes.slice(1)) {
      const want = outcomes[0]
      expect(Math.abs(loss[0] - want.loss[0]) / want.loss[0]).toBeLessThanOrEqual(3e-7)
      let worst = 0
      for (let i = 0; i < gradient.length; i++) {
        worst = Math.max(worst, Math.abs(gradient[i] - want.gradient[i]))
      }
      // Probabilities of at most 1, divided by two rows: two units in the last place of ½.
      expect(worst).toBeLessThanOrEqual(2 ** -23)
    }
  })
})

describe('what crossEntropy refuses', () => {
  const x = tensor([1, 2, 3, 4, 5, 6], [2, 3])
  const target = (...data: number[]): Tensor => tensor(data, [data.length], { dtype: 'int32' })

  it('is shapes that do not fit', () => {
    expect(() => crossEntropy(x, target(0, 1, 2))).toThrow(/got \[2, 3\] and \[3\]$/)
    const scalar = tensor([0], [], { dtype: 'int32' })
    for (const answer of [target(0), scalar]) {
      expect(() => crossEntropy(tensor([1], []), answer)).toThrow('expected logits [rows, classes]')
    }
    const wide = tensor(new Float32Array(24), [2, 4, 3])
    const last = tensor(new Int32Array(8), [2, 4], { dtype: 'int32' })
    expect(() => crossEntropy(wide, last)).toThrow('(classes last? reshape both to rows)')
    expect(() => crossEntropy(x, target(0, 1), { weight: tensor([1, 1], [2]) })).toThrow(
      'expected one weight per class, [3], got [2]',
    )
  })

  it('is classes and options out of range', () => {
    expect(() => crossEntropy(x, target(0, 3))).toThrow(
      'expected classes from 0 to 2 or -100 (ignored), got 3 at position 1',
    )
    expect(() => crossEntropy(x, target(-1, 0))).toThrow('got -1 at position 0')
    expect(() => crossEntropy(x, tensor([0, 1], [2]))).toThrow('expected an int32 index')
    for (const labelSmoothing of [1.5, -0.1, Number.NaN]) {
      expect(() => crossEntropy(x, target(0, 1), { labelSmoothing })).toThrow(
        `expected labelSmoothing from 0 to 1, got ${labelSmoothing}`,
      )
    }
    const weight = tensor([1, 1, 1], [3], { requiresGrad: true })
    expect(() => crossEntropy(x, target(0, 1), { weight })).toThrow('weights are constants')
  })
})

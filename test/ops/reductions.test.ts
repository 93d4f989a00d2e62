// sum, mean, amax, amin, variance, std, norm, prod and logsumexp: the mechanism that they share (any axes,
// keepdim, rows in and out of order), and what is particular to each.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { amax, amin } from '../../src/ops/amax.ts'
import type { ReductionOptions } from '../../src/ops/axes.ts'
import { logsumexp } from '../../src/ops/logsumexp.ts'
import { mean } from '../../src/ops/mean.ts'
import { norm } from '../../src/ops/norm.ts'
import { prod } from '../../src/ops/prod.ts'
import { std } from '../../src/ops/std.ts'
import { sum } from '../../src/ops/sum.ts'
import { variance } from '../../src/ops/variance.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

interface Reduction {
  readonly name: string
  readonly fn: (x: Tensor, options?: ReductionOptions) => Tensor
  /** What it makes of one row, from the definition. */
  readonly of: (row: readonly number[]) => number
}

const total = (row: readonly number[]): number => row.reduce((a, b) => a + b, 0)
const squares = (row: readonly number[]): number => {
  const middle = total(row) / row.length
  return total(row.map(x => (x - middle) * (x - middle)))
}

const reductions: readonly Reduction[] = [
  { name: 'sum', fn: sum, of: total },
  { name: 'mean', fn: mean, of: row => total(row) / row.length },
  { name: 'amax', fn: amax, of: row => Math.max(...row) },
  { name: 'amin', fn: amin, of: row => Math.min(...row) },
  { name: 'variance', fn: variance, of: row => squares(row) / (row.length - 1) },
  { name: 'std', fn: std, of: row => Math.sqrt(squares(row) / (row.length - 1)) },
  { name: 'norm', fn: norm, of: row => Math.sqrt(total(row.map(x => x * x))) },
  { name: 'prod', fn: prod, of: row => row.reduce((a, b) => a * b, 1) },
  { name: 'logsumexp', fn: logsumexp, of: row => Math.log(total(row.map(Math.exp))) },
]

const shape = [2, 3, 4, 5]
const random = new Random(3, 'reductions')
// Around 1, so that the product of all of them is a normal number.
const data = Float32Array.from({ length: 120 }, () => random.uniform() + 0.5)

/** The reduction of `data` over `axes`, element by element. */
function expected(axes: readonly number[], of: Reduction['of']): number[] {
  const groups = new Map<string, number[]>()
  data.forEach((value, i) => {
    const index = [Math.floor(i / 60), Math.floor(i / 20) % 3, Math.floor(i / 5) % 4, i % 5]
    const key = index.filter((_, axis) => !axes.includes(axis)).join()
    groups.set(key, [...(groups.get(key) ?? []), value])
  })
  return [...groups.values()].map(of)
}

describe.each(reductions)('$name', ({ name, fn, of }) => {
  it.each([
    [[0]],
    [[1]],
    [[3]],
    [[2, 3]],
    [[1, 2]],
    [[0, 2]],
    [[1, 3]],
    [[0, 1, 3]],
    [[1, 0]],
    [[3, 1]],
    [[2, 0, 1]],
    [[0, 1, 2, 3]],
  ])('over axes %j', axes => {
    const left = shape.filter((_, axis) => !axes.includes(axis))
    const kept = shape.map((size, axis) => (axes.includes(axis) ? 1 : size))
    const check = { inputs: [{ shape, data }], want: expected(axes, of), tolerance: 1e-5 }
    checkOp({ ...check, name, fn: x => fn(x, { dim: axes }), wantShape: left })
    checkOp({
      ...check,
      name: `${name} keepdim`,
      fn: x => fn(x, { dim: axes.map(axis => axis - 4), keepdim: true }),
      wantShape: kept,
      gradcheck: false,
    })
  })

  it('takes one axis as a number, and all where none is named', () => {
    const inputs = [{ shape, data }]
    const options = { name, inputs, tolerance: 1e-5, gradcheck: false } as const
    checkOp({ ...options, fn: x => fn(x, { dim: -2 }), want: expected([2], of) })
    checkOp({ ...options, fn: x => fn(x), want: [of([...data])], wantShape: [] })
    checkOp({ ...options, fn: x => fn(x, { dim: [] }), want: [of([...data])], wantShape: [] })
  })

  it('of a scalar is that of one element', () => {
    // One element alone has no variance.
    const value = name === 'variance' || name === 'std' ? Number.NaN : of([3])
    for (const options of [{}, { dim: 0 }, { dim: [0], keepdim: true }]) {
      const y = withBackend(reference(), () => fn(tensor([3], []), options))
      expect([y.shape, y.itemSync()]).toEqual([[], value])
    }
  })

  it('names an axis that does not exist or is there twice', () => {
    const x = tensor(data, shape)
    expect(() => fn(x, { dim: 4 })).toThrow(`${name}: axis 4 does not exist`)
    expect(() => fn(x, { dim: [1, -3] })).toThrow(`${name}: an axis is named twice in dim [1, -3]`)
  })

  it.each([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33])('rows of %i', cols => {
    // Variance needs two elements, and its gradient in f32 two that differ.
    if (cols > 1 || (name !== 'variance' && name !== 'std')) {
      const low = name === 'prod' ? 0.5 : -1
      const inputs = [{ shape: [3, cols], low }]
      checkOp({ name, fn: x => fn(x, { dim: 1 }), inputs, tolerance: 1e-5 })
      checkOp({
        name,
        fn: x => fn(x, { dim: 0 }),
        inputs: [{ shape: [cols, 3], low }],
        tolerance: 1e-5,
      })
    }
  })
})

describe('reductions of nothing', () => {
  it.each([
    [sum, 0],
    [prod, 1],
    [norm, 0],
    [mean, Number.NaN],
    [logsumexp, Number.NEGATIVE_INFINITY],
  ] as const)('%o', (fn, value) => {
    for (const { make } of backends) {
      withBackend(make(), () => {
        const x = tensor([], [2, 0], { requiresGrad: true })
        const y = step(() => {
          const result = fn(x, { dim: 1 })
          backward(result, tensor([1, 1], [2]))
          return result
        })
        expect([...y.dataSync()]).toEqual([value, value])
        expect(x.grad?.shape).toEqual([2, 0])
        expect(fn(tensor([], [0, 3]), { dim: 1 }).shape).toEqual([0])
      })
    }
  })

  it.each([amax, amin])('has no extreme element', fn => {
    const x = tensor([], [2, 0])
    expect(() => fn(x, { dim: 1 })).toThrow(/expected at least one element along dim \[1\]/)
    expect(fn(tensor([], [0, 2]), { dim: 1 }).shape).toEqual([0])
  })
})

describe.each(backends)('on $name', ({ make }) => {
  const gradientOf = (fn: (x: Tensor) => Tensor, values: readonly number[]): number[] =>
    withBackend(make(), () => {
      const x = tensor(values, [values.length], { requiresGrad: true })
      step(() => backward(fn(x)))
      return [...(x.grad?.dataSync() ?? [])]
    })

  it('equals share the gradient of amax and amin', () => {
    expect(gradientOf(amax, [2, 5, 5, 1, 5, 5])).toEqual([0, 0.25, 0.25, 0, 0.25, 0.25])
    expect(gradientOf(amin, [2, 5, 2, 7])).toEqual([0.5, 0, 0.5, 0])
  })

  it('the norm and deviation of equal numbers have a gradient of 0', () => {
    expect(gradientOf(norm, [0, 0, 0])).toEqual([0, 0, 0])
    expect(gradientOf(std, [3, 3, 3])).toEqual([0, 0, 0])
  })

  it('the product of zeros has the gradient that it should', () => {
    expect(gradientOf(prod, [2, 0, 3])).toEqual([0, 6, 0])
    expect(gradientOf(prod, [2, 0, 0])).toEqual([0, 0, 0])
  })

  it('logsumexp neither overflows nor takes masked elements into account', () => {
    withBackend(make(), () => {
      const low = Number.NEGATIVE_INFINITY
      const x = tensor([1000, 1000, low, low], [2, 2], { requiresGrad: true })
      const y = step(() => {
        const result = logsumexp(x, { dim: 1 })
        backward(result, tensor([1, 1], [2]))
        return result
      })
      expect(y.dataSync()[0]).toBeCloseTo(1000.6931471805599, 3)
      expect(y.dataSync()[1]).toBe(low)
      expect([...(x.grad?.dataSync() ?? [])]).toEqual([0.5, 0.5, 0, 0])
      const high = Number.POSITIVE_INFINITY
      expect(logsumexp(tensor([1, high, low], [3])).itemSync()).toBe(high)
    })
  })

  it('the variance of numbers far from zero does not cancel', () => {
    withBackend(make(), () => {
      const x = tensor([10000, 10001, 10002, 10003], [4])
      expect(variance(x, { correction: 0 }).itemSync()).toBe(1.25)
    })
  })

  it('a mean of four million elements is exact to 1e-7', () => {
    const count = make().precision === 64 ? 1 << 12 : 1 << 22
    const values = Float32Array.from({ length: count }, () => random.uniform() + 0.1)
    const exact = values.reduce((a, b) => a + b, 0) / count
    withBackend(make(), () => {
      const got = mean(tensor(values, [count])).itemSync()
      expect(Math.abs(got / exact - 1)).toBeLessThanOrEqual(1e-7)
    })
  })

  it.each([
    { shape: [2, 4096, 2], dim: [1] },
    { shape: [2, 64, 64, 2], dim: [1, 2] },
    { shape: [32, 1, 32, 16], dim: [0, 2] },
    { shape: [16384], dim: [0] },
  ])('a sum over axes $dim of $shape, which are neighbours, copies nothing', ({ shape, dim }) => {
    const backend = make()
    withBackend(backend, () => {
      const x = tensor(new Float32Array(16384).fill(1), shape)
      const run = () => step(() => sum(x, { dim }))
      run()
      backend.resetPeak()
      const before = backend.memory().used
      run()
      // The upload of x, and sums.
      expect(backend.memory().peak - before).toBeLessThan((1.5 * 16384 * backend.precision) / 8)
    })
  })

  it('a sum over axes in turn is the sum over all of them', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 3, maxLength: 3 }),
        fc.integer(),
        (sizes, seed) => {
          const draw = new Random(seed, 'sum')
          const count = sizes[0] * sizes[1] * sizes[2]
          // Whole numbers, whose sums are exact in every order.
          const values = Float32Array.from({ length: count }, () => (draw.uint32() % 200) - 100)
          withBackend(make(), () => {
            const x = tensor(values, sizes)
            const all = values.reduce((a, b) => a + b, 0)
            expect(sum(x, { dim: [0, 2] }).dataSync()).toEqual(
              sum(sum(x, { dim: 2 }), { dim: 0 }).dataSync(),
            )
            expect(sum(sum(x, { dim: 1 })).itemSync()).toBe(all)
          })
        },
      ),
      { numRuns: 50 },
    )
  })
})

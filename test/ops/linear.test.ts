// linear: values and gradients around tile edges, what is kept for backward, frozen weights in every
// dtype, and what is said about sizes that do not fit.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import type { DType } from '../../src/core/dtype.ts'
import { OpContext } from '../../src/core/op.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { Random } from '../../src/core/rng.ts'
import { scoped } from '../../src/core/scope.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { linear, linearOp } from '../../src/ops/linear.ts'
import { sum } from '../../src/ops/sum.ts'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'
import { checkOp } from '../support/op.ts'

// A sum of K products in f32 is off by at most K·2⁻²⁴ of the sum of their magnitudes, which for draws
// in ±1 is at most √K·4 times the largest result; the sizes below stay under K = 40.
const tolerance = 40 * 4 * 7 * 2 ** -24

const random = new Random(17, 'linear')
const draws = (count: number): Float32Array =>
  Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)

describe('linear', () => {
  const sizes = [
    [0, 3, 2],
    [1, 1, 1],
    [1, 9, 8],
    [4, 8, 7],
    [5, 7, 9],
    [3, 17, 16],
    [2, 0, 3],
    [2, 3, 0],
    [9, 33, 13],
  ] as const

  it.each(sizes)('%i rows, %i in, %i out', (rows, I, O) => {
    const [x, w, b] = [{ shape: [rows, I] }, { shape: [O, I] }, { shape: [O] }]
    const wantShape = [rows, O]
    const gradcheck = rows * I * O < 200 ? {} : (false as const)
    const common = { name: 'linear', wantShape, tolerance, gradcheck }
    checkOp({ ...common, fn: (x, w, b) => linear(x, w, b), inputs: [x, w, b] })
    checkOp({ ...common, fn: (x, w) => linear(x, w), inputs: [x, w] })
  })

  it('is x·Wᵀ + b', () => {
    const inputs = [
      { shape: [2, 3], data: [1, 2, 3, 4, 5, 6] },
      { shape: [2, 3], data: [1, 0, 2, 0, -1, 1] },
      { shape: [2], data: [10, 20] },
    ]
    checkOp({ name: 'linear', fn: (x, w, b) => linear(x, w, b), inputs, want: [17, 21, 26, 21] })
  })

  it('takes any leading axes, also none', () => {
    const inputs = [{ shape: [2, 3, 4] }, { shape: [5, 4] }, { shape: [5] }]
    const fn = (x: Tensor, w: Tensor, b: Tensor): Tensor => linear(x, w, b)
    checkOp({ name: 'linear', fn, inputs, wantShape: [2, 3, 5], tolerance })
    checkOp({ name: 'linear', fn, inputs: [{ shape: [4] }, ...inputs.slice(1)], wantShape: [5] })
  })

  it.each([0, 1, 2])('gives no gradient to input %i where it needs none', frozen => {
    const shapes = [[3, 4], [5, 4], [5]]
    checkOp({
      name: 'linear',
      fn: (x, w, b) => linear(x, w, b),
      inputs: shapes.map((shape, i) => ({ shape, constant: i === frozen })),
      tolerance,
    })
  })

  it('says what does not fit', () => {
    // Sizes that the types do not know.
    const shaped = (shape: readonly number[]): Tensor =>
      tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)
    expect(() => linear(shaped([2, 3]), shaped([4, 5]))).toThrow(
      'linear: x: expected [...rows, I] with I = 5, got [2, 3]',
    )
    expect(() => linear(shaped([2, 3]), shaped([3]))).toThrow('linear: weight: expected [O, I]')
    expect(() => linear(shaped([2, 3]), shaped([4, 3]), shaped([3]))).toThrow(
      'linear: bias: expected [O] with O = 4, got [3]',
    )
    expect(() => linear(shaped([]), shaped([4, 3]))).toThrow('linear: x: expected [...rows, I]')
  })
})

describe.each(backends)('on $name', ({ make }) => {
  it.each([
    [true, false],
    [false, true],
    [true, true],
    [false, false],
  ])('x is kept only where W needs a gradient, W only where x does: %s, %s', (needsX, needsW) => {
    const backend = make()
    const x = tensor(draws(6), [2, 3], { backend })
    const weight = tensor(draws(12), [4, 3], { backend })
    const kept = scoped(() => {
      const context = new OpContext(backend, linearOp.definition, [needsX, needsW, false])
      const { saved } = linearOp.definition.forward(context, [x, weight, undefined], {})
      return [saved.x === x, saved.weight === weight]
    })
    expect(kept).toEqual([needsW, needsX])
  })

  const dtypes: readonly DType[] = ['float32', 'float16', 'bfloat16']

  it.each(dtypes)('a frozen %s weight gives what its values give, forward and backward', dtype => {
    const [rows, I, O] = [7, 19, 13]
    withBackend(make(), () => {
      const weight = new Parameter(draws(O * I), [O, I], { dtype, requiresGrad: false })
      const bias = new Parameter(draws(O), [O], { dtype, requiresGrad: false })
      const plain = [tensor(weight.dataSync(), [O, I]), tensor(bias.dataSync(), [O])] as const
      const x = tensor(draws(rows * I), [rows, I], { requiresGrad: true })
      const dy = tensor(draws(rows * O), [rows, O])
      const run = (w: Tensor, b: Tensor): [Float64Array, Float64Array] => {
        const y = step(() => {
          const result = linear(x, w, b)
          backward(result, dy)
          return result
        })
        return [Float64Array.from(y.dataSync()), Float64Array.from(x.grad?.dataSync() ?? [])]
      }
      // The same products in the same order: the same bits, however W is stored.
      expect(run(weight, bias)).toEqual(run(...plain))
      expect(run(weight, bias)).toEqual(run(...plain))
      const alone = step(() => linear(tensor(x.dataSync().slice(0, I), [1, I]), weight, bias))
      expect([...alone.dataSync()]).toEqual([...run(weight, bias)[0].subarray(0, O)])
    })
  })

  it('a frozen half-precision weight is never widened as a whole', () => {
    const [rows, I, O] = [2, 512, 512]
    const backend = make()
    withBackend(backend, () => {
      const weight = new Parameter(draws(O * I), [O, I], { dtype: 'bfloat16', requiresGrad: false })
      const x = tensor(draws(rows * I), [rows, I], { requiresGrad: true })
      const run = (): void => step(() => backward(sum(linear(x, weight))))
      run()
      const before = backend.memory().used
      backend.resetPeak()
      run()
      const bytes = backend.precision === 64 ? 8 : 4
      expect(backend.memory().peak - before).toBeLessThan(O * I * bytes)
    })
  })

  it('the gradients of parameters add up over calls', () => {
    withBackend(make(), () => {
      const weight = new Parameter(draws(6), [2, 3])
      const bias = new Parameter(draws(2), [2])
      const x = tensor(draws(12), [4, 3])
      step(() => {
        backward(sum(linear(x, weight, bias)))
        backward(sum(linear(x, weight, bias)))
      })
      expect([...(bias.grad?.dataSync() ?? [])]).toEqual([8, 8])
      const columns = [0, 1, 2].map(i =>
        [0, 1, 2, 3].reduce((total, row) => total + 2 * x.dataSync()[row * 3 + i], 0),
      )
      const want = [...columns, ...columns]
      expect(scaledError(weight.grad?.dataSync() ?? [], want)).toBeLessThanOrEqual(1e-6)
    })
  })
})

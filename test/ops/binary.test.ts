// The ops of two operands that broadcast: values by NumPy's rule, gradients, parity around the width of
// a vector, numbers in place of tensors, and what is refused.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { LowrankError } from '../../src/core/errors.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { add } from '../../src/ops/add.ts'
import type { Operand } from '../../src/ops/binary.ts'
import { div } from '../../src/ops/div.ts'
import { maximum } from '../../src/ops/maximum.ts'
import { minimum } from '../../src/ops/minimum.ts'
import { mul } from '../../src/ops/mul.ts'
import { pow } from '../../src/ops/pow.ts'
import { sub } from '../../src/ops/sub.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

interface BinaryCase {
  readonly name: string
  readonly fn: (a: Operand, b: Operand) => Tensor
  readonly formula: (a: number, b: number) => number
  /** Where both operands are drawn from: away from poles. */
  readonly low: number
}

const ops: readonly BinaryCase[] = [
  { name: 'add', fn: add, formula: (a, b) => a + b, low: -1 },
  { name: 'sub', fn: sub, formula: (a, b) => a - b, low: -1 },
  { name: 'mul', fn: mul, formula: (a, b) => a * b, low: -1 },
  { name: 'div', fn: div, formula: (a, b) => a / b, low: 0.5 },
  { name: 'maximum', fn: maximum, formula: (a, b) => Math.max(a, b), low: -1 },
  { name: 'minimum', fn: minimum, formula: (a, b) => Math.min(a, b), low: -1 },
  { name: 'pow', fn: pow, formula: (a, b) => a ** b, low: 0.5 },
]

const pairs: readonly (readonly [a: readonly number[], b: readonly number[]])[] = [
  [[], []],
  [[0], [0]],
  [[1], [1]],
  [[3], [3]],
  [[4], [4]],
  [[5], [5]],
  [[17], [17]],
  [[2, 0], [1]],
  [[3, 5], [5]],
  [[5], [3, 5]],
  [
    [3, 5],
    [3, 1],
  ],
  [
    [1, 4],
    [6, 1],
  ],
  [[3, 4], []],
  [
    [2, 1, 3, 1, 5],
    [4, 1, 3, 1],
  ],
]

/** Element by element through the coordinates of the result: slow, and nothing like the library's walk. */
function naive(
  a: readonly number[],
  aShape: readonly number[],
  b: readonly number[],
  bShape: readonly number[],
  shape: readonly number[],
  formula: (a: number, b: number) => number,
): number[] {
  const at = (data: readonly number[], own: readonly number[], position: number[]): number => {
    let index = 0
    own.forEach((size, axis) => {
      const coordinate = position[axis + position.length - own.length]
      index = index * size + (size === 1 ? 0 : coordinate)
    })
    return data[index]
  }
  const count = shape.reduce((product, size) => product * size, 1)
  return Array.from({ length: count }, (_, flat) => {
    const position: number[] = []
    let rest = flat
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      position.unshift(rest % shape[axis])
      rest = Math.floor(rest / shape[axis])
    }
    return formula(at(a, aShape, position), at(b, bShape, position))
  })
}

describe.each(ops)('$name', ({ name, fn, formula, low }) => {
  it.each(pairs)('of %j and %j', (a, b) => {
    checkOp({
      name: `${name} ${a} ${b}`,
      fn: (x, y) => fn(x, y),
      inputs: [
        { shape: a, low, high: 2 },
        { shape: b, low, high: 2 },
      ],
    })
  })

  it('takes a number on either side', () => {
    const data = [0.5, 0.75, 1, 1.25, 1.75, 2]
    const inputs = [{ shape: [2, 3], data }]
    checkOp({ name, fn: x => fn(x, 1.5), inputs, want: data.map(x => formula(x, 1.5)) })
    checkOp({ name, fn: x => fn(1.5, x), inputs, want: data.map(x => formula(1.5, x)) })
  })

  it('takes one tensor twice', () => {
    if (name !== 'maximum' && name !== 'minimum') {
      checkOp({ name, fn: x => fn(x, x), inputs: [{ shape: [6], low: 0.5, high: 2 }] })
    }
  })

  it('follows the rule for any shapes that broadcast', () => {
    const axis = fc.record({
      size: fc.integer({ min: 1, max: 4 }),
      stretched: fc.constantFrom('none', 'a', 'b'),
    })
    const drawn = fc.tuple(fc.array(axis, { maxLength: 5 }), fc.nat(5), fc.nat(5))
    fc.assert(
      fc.property(drawn, fc.nat(1000), ([axes, cutA, cutB], seed) => {
        const sizes = (side: string): number[] =>
          axes.map(({ size, stretched }) => (stretched === side ? 1 : size))
        const aShape = cutA > cutB ? sizes('a').slice(cutB) : sizes('a')
        const bShape = cutA > cutB ? sizes('b') : sizes('b').slice(cutA)
        const rank = Math.max(aShape.length, bShape.length)
        const shape = Array.from({ length: rank }, (_, i) => {
          const size = (own: number[]): number => own[i - rank + own.length] ?? 1
          return Math.max(size(aShape), size(bShape))
        })
        const elements = (own: number[], offset: number): number[] =>
          Array.from(
            { length: own.reduce((product, size) => product * size, 1) },
            (_, i) => 0.5 + ((i * 37 + offset) % 64) / 64,
          )
        const a = elements(aShape, seed)
        const b = elements(bShape, seed + 11)
        const y = withBackend(reference(), () => fn(tensor(a, aShape), tensor(b, bShape)))
        expect(y.shape).toEqual(shape)
        const want = naive(a, aShape, b, bShape, shape, formula)
        y.dataSync().forEach((got, i) => {
          expect(Math.abs(got - want[i])).toBeLessThanOrEqual(1e-14)
        })
      }),
    )
  })

  it('refuses shapes that do not broadcast, and two numbers', () => {
    expect(() => fn(tensor([1, 2], [2]), tensor([1, 2, 3], [3]))).toThrow(
      `${name}: shapes do not broadcast: [2] and [3]`,
    )
    expect(() => fn(1, 2)).toThrow(LowrankError)
    expect(() => fn(1, 2)).toThrow(`${name}: expected at least one tensor`)
  })
})

describe.each(backends)('special values on $name', ({ make }) => {
  const { NaN: nan, POSITIVE_INFINITY: inf } = Number

  function values(fn: (a: Tensor, b: Tensor) => Tensor, a: number[], b: number[]): number[] {
    return withBackend(make(), () => [
      ...fn(tensor(a, [a.length]), tensor(b, [b.length])).dataSync(),
    ])
  }

  function gradients(
    fn: (a: Tensor, b: Tensor) => Tensor,
    a: number[],
    b: number[],
  ): readonly [a: number[], b: number[]] {
    return withBackend(make(), () => {
      const left = tensor(a, [a.length], { requiresGrad: true })
      const right = tensor(b, [b.length], { requiresGrad: true })
      step(() => backward(fn(left, right), tensor(new Array(a.length).fill(2), [a.length])))
      return [[...(left.grad as Tensor).dataSync()], [...(right.grad as Tensor).dataSync()]]
    })
  }

  it('shares the gradient of equal operands', () => {
    expect(gradients(maximum, [1, 3, 2, 5, -1], [1, 2, 3, 5, 0])).toEqual([
      [1, 2, 0, 1, 0],
      [1, 0, 2, 1, 2],
    ])
    expect(gradients(minimum, [1, 3, 2, 5, -1], [1, 2, 3, 5, 0])).toEqual([
      [1, 0, 2, 1, 2],
      [1, 2, 0, 1, 0],
    ])
  })

  it('passes NaN through maximum and minimum', () => {
    expect(values(maximum, [nan, 1, 2], [1, nan, 3])).toEqual([nan, nan, 3])
    expect(values(minimum, [nan, 1, 2], [1, nan, 3])).toEqual([nan, nan, 2])
  })

  it('divides by zero', () => {
    expect(values(div, [1, -1, 0, 1, inf], [0, 0, 0, inf, 2])).toEqual([inf, -inf, nan, 0, inf])
  })

  it('raises negative, zero and infinite bases', () => {
    const bases = [-2, -2, -2, 0, 0, 0, 1, -inf, -inf, inf, inf, nan, 2, 2, 0.5]
    const exponents = [3, -2, 0.5, 2, 0, -1, inf / 2, 3, -2, 2, -1, 0, inf, -inf, inf]
    const want = [-8, 0.25, nan, 0, 1, inf, 1, -inf, 0, inf, 0, 1, inf, 0, 0]
    expect(values(pow, bases.slice(0, 6), exponents.slice(0, 6))).toEqual(want.slice(0, 6))
    expect(values(pow, bases.slice(7), exponents.slice(7))).toEqual(want.slice(7))
  })

  it('has a gradient at 0 where PyTorch has one', () => {
    const [a, b] = gradients(pow, [0, 0, 0, 2, 3], [2, 0, 1, 0, 1])
    expect(a).toEqual([0, 0, 2, 0, 2])
    expect(b.slice(0, 3)).toEqual([0, 0, 0])
    expect(b[3]).toBeCloseTo(2 * Math.LN2, 6)
    expect(b[4]).toBeCloseTo(6 * 1.0986122886681098, 5)
    expect(gradients(pow, [0], [-1])[1]).toEqual([-inf])
  })
})

describe('pow on wasm', () => {
  it('is rounded correctly but for 1 unit in the last place', () => {
    const wasm = backends.find(({ name }) => name === 'wasm')
    if (!wasm) {
      return
    }
    const count = 2000
    const a = Float32Array.from({ length: count }, (_, i) => 0.001 + ((i * 0.618034) % 1) * 30)
    const b = Float32Array.from({ length: count }, (_, i) => ((i * 0.754878) % 1) * 16 - 8)
    const got = withBackend(wasm.make(), () =>
      pow(tensor(a, [count]), tensor(b, [count])).dataSync(),
    )
    let worst = 0
    got.forEach((y, i) => {
      // The f64 power is exact to 1e-15 here, so that what is left is the rounding to float32.
      const want = a[i] ** b[i]
      worst = Math.max(worst, Math.abs(y - want) / want)
    })
    expect(worst).toBeLessThanOrEqual(2 ** -24 * 1.0001)
  })
})

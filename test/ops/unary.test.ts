// The ops of one operand: values and gradients around the width of a vector, special values.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { abs } from '../../src/ops/abs.ts'
import { erf } from '../../src/ops/erf.ts'
import { exp } from '../../src/ops/exp.ts'
import { gelu } from '../../src/ops/gelu.ts'
import { log } from '../../src/ops/log.ts'
import { neg } from '../../src/ops/neg.ts'
import { relu } from '../../src/ops/relu.ts'
import { rsqrt } from '../../src/ops/rsqrt.ts'
import { sigmoid } from '../../src/ops/sigmoid.ts'
import { silu } from '../../src/ops/silu.ts'
import { sqrt } from '../../src/ops/sqrt.ts'
import { tanh } from '../../src/ops/tanh.ts'
import { backends } from '../support/backends.ts'
import { checkOp } from '../support/op.ts'

const { NaN: nan, POSITIVE_INFINITY: inf } = Number

interface UnaryCase {
  readonly name: string
  readonly fn: (x: Tensor) => Tensor
  /**
   * Where parity is checked: away from zeros of the derivative and of gelu, next to which a relative
   * error says nothing. The golden cases have the wide ranges.
   */
  readonly low: number
  readonly high: number
  /** Arguments and their values, known by other means. */
  readonly x: readonly number[]
  readonly y: readonly number[]
}

const geluTanh = (x: Tensor): Tensor => gelu(x, { approximate: 'tanh' })

// Digits from tables (Abramowitz and Stegun 7.1, 26.2) and closed forms; -0 counts as 0.
const ops: readonly UnaryCase[] = [
  {
    name: 'neg',
    fn: neg,
    low: -3,
    high: 3,
    x: [2, inf, nan],
    y: [-2, -inf, nan],
  },
  {
    name: 'abs',
    fn: abs,
    low: -3,
    high: 3,
    x: [-2, -inf, nan],
    y: [2, inf, nan],
  },
  {
    name: 'sqrt',
    fn: sqrt,
    low: 0.1,
    high: 9,
    x: [4, 0, -1, inf],
    y: [2, 0, nan, inf],
  },
  {
    name: 'rsqrt',
    fn: rsqrt,
    low: 0.1,
    high: 9,
    x: [4, 0, -1, inf],
    y: [0.5, inf, nan, 0],
  },
  {
    name: 'exp',
    fn: exp,
    low: -4,
    high: 4,
    x: [0, 1, -inf, inf, nan],
    y: [1, Math.E, 0, inf, nan],
  },
  {
    name: 'log',
    fn: log,
    low: 0.1,
    high: 9,
    x: [1, 0, -1, inf, nan],
    y: [0, -inf, nan, inf, nan],
  },
  {
    name: 'tanh',
    fn: tanh,
    low: -1.5,
    high: 1.5,
    x: [0, inf, -inf, nan],
    y: [0, 1, -1, nan],
  },
  {
    name: 'sigmoid',
    fn: sigmoid,
    low: -6,
    high: 3,
    x: [0, inf, -inf, nan],
    y: [0.5, 1, 0, nan],
  },
  {
    name: 'erf',
    fn: erf,
    low: -3,
    high: 3,
    x: [0, 1, -inf, nan],
    y: [0, 0.8427007929497149, -1, nan],
  },
  {
    name: 'relu',
    fn: relu,
    low: -3,
    high: 3,
    x: [2, -2, -inf, inf, nan],
    y: [2, 0, 0, inf, nan],
  },
  {
    name: 'silu',
    fn: silu,
    low: -1,
    high: 6,
    x: [0, 1, 100, nan],
    y: [0, 0.7310585786300049, 100, nan],
  },
  {
    name: 'gelu',
    fn: x => gelu(x),
    low: -0.7,
    high: 4,
    x: [0, 1, 100, -100],
    y: [0, 0.8413447460685429, 100, 0],
  },
  {
    name: 'gelu tanh',
    fn: geluTanh,
    low: -0.7,
    high: 4,
    x: [0, 100, -100, nan],
    y: [0, 100, 0, nan],
  },
]

describe.each(ops)('$name', ({ name, fn, low, high, x: known, y: values }) => {
  it.each([0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 33])('of %d elements', count => {
    checkOp({ name: `${name} ${count}`, fn, inputs: [{ shape: [count], low, high }] })
  })

  it('keeps the shape', () => {
    checkOp({ name, fn, inputs: [{ shape: [2, 1, 3], low, high }], wantShape: [2, 1, 3] })
  })

  it.each(backends)('has its known values on $name', ({ make }) => {
    const y = withBackend(make(), () => fn(tensor(known, [known.length])).dataSync())
    values.forEach((want, i) => {
      const where = `${name}(${known[i]})`
      if (Number.isFinite(want)) {
        // Two units in the last place of float32, what the kernels promise.
        expect(Math.abs(y[i] - want), where).toBeLessThanOrEqual(2 ** -22 * Math.abs(want))
      } else {
        expect(y[i], where).toBe(want)
      }
    })
  })
})

describe('a frozen half-precision tensor', () => {
  it.each(backends)('is widened on $name', ({ make }) => {
    const y = withBackend(make(), () => {
      const bits = Uint16Array.of(0x3f80, 0xc000)
      return neg(tensor(bits, [2], { dtype: 'bfloat16' }))
    })
    expect(y.dtype).toBe('float32')
    expect([...y.dataSync()]).toEqual([-1, 2])
  })
})

describe('integers', () => {
  it('are refused', () => {
    expect(() => exp(tensor([1], [1], { dtype: 'int32' }))).toThrow('exp: expected floats')
  })
})

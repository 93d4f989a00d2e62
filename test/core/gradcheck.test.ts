// gradcheck: what it finds, where it says it is, and what the sharper method adds.

import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { wasm } from '../../src/backends/wasm/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { type GradcheckOptions, gradcheck } from '../../src/core/gradcheck.ts'
import { defineOp, type Op } from '../../src/core/op.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { embedding } from '../../src/ops/embedding.ts'
import { exp } from '../../src/ops/exp.ts'
import { mul } from '../../src/ops/mul.ts'

/** y = x², with 2x·(1 + wrong) for its gradient at one element. */
function squareWith(wrong: number, at: number): (x: Tensor) => Tensor {
  const op: Op<object, readonly [Tensor], object, Tensor, { x: Tensor }> = defineOp({
    name: 'square',
    reference: {},
    forward: (context, [x]) => {
      const y = context.empty(x.shape)
      const [from, to] = [context.floats(x), context.floats(y)]
      for (let i = 0; i < x.size; i++) {
        to[i] = from[i] * from[i]
      }
      return { y, saved: { x } }
    },
    backward: (context, dy, { x }) => {
      const dx = context.empty(x.shape)
      const [from, to, up] = [context.floats(x), context.floats(dx), context.floats(dy)]
      for (let i = 0; i < x.size; i++) {
        to[i] = 2 * from[i] * up[i] * (i === at ? 1 + wrong : 1)
      }
      return [dx]
    },
  })
  return x => op([x], {})
}

function check(fn: (...inputs: Tensor[]) => Tensor, options?: GradcheckOptions) {
  return withBackend(reference(), () => {
    const a = tensor([0.5, -1.5, 2, 3], [4])
    const b = tensor([2], [1])
    return gradcheck(fn, fn.length === 1 ? [a] : [a, b], options)
  })
}

describe('gradcheck', () => {
  it('passes what is right, with the worst entry of each input', () => {
    const report = check((a, b) => mul(exp(a), b))
    expect(report).toMatchObject({ ok: true, checked: 5 })
    expect(report.inputs.map(({ input }) => input)).toEqual([0, 1])
    expect(report.worst?.error).toBe(Math.max(...report.inputs.map(({ error }) => error)))
  })

  it('points at the element that is wrong', () => {
    const report = check(squareWith(0.01, 2))
    expect(report.ok).toBe(false)
    expect(report.worst).toMatchObject({ input: 0, index: 2 })
    const { analytic = 0, numeric = 1 } = report.worst ?? {}
    expect(analytic / numeric).toBeCloseTo(1.01, 6)
  })

  it('sees by extrapolation what plain differences do not', () => {
    const slightly = squareWith(1e-5, 1)
    expect(check(slightly).ok).toBe(true)
    expect(check(slightly, { method: 'richardson' })).toMatchObject({
      ok: false,
      worst: { index: 1 },
    })
    expect(check(a => exp(a), { method: 'richardson' }).ok).toBe(true)
  })

  it('fails a gradient that is NaN, and one that is missing', () => {
    expect(check(squareWith(Number.NaN, 3))).toMatchObject({ ok: false, worst: { index: 3 } })
    const lost: Op<object, readonly [Tensor], object, Tensor, object> = defineOp({
      name: 'lost',
      reference: {},
      forward: (context, [x]) => {
        const y = context.empty(x.shape)
        const [from, to] = [context.floats(x), context.floats(y)]
        for (let i = 0; i < x.size; i++) {
          to[i] = from[i]
        }
        return { y, saved: {} }
      },
    })
    expect(check(x => lost([x], {})).ok).toBe(false)
  })

  it('checks only what it is asked for, and needs no elements', () => {
    expect(check((a, b) => mul(a, b), { wrt: [1] }).checked).toBe(1)
    const empty = withBackend(reference(), () => gradcheck(exp, [tensor([], [0])]))
    expect(empty).toEqual({ ok: true, checked: 0, worst: undefined, inputs: [] })
  })

  it('compares large gradients by their size', () => {
    expect(check(squareWith(5e-4, 3)).ok).toBe(true)
    expect(check(squareWith(5e-4, 3), { rtol: 1e-4, atol: 1e-6 }).ok).toBe(false)
  })

  it('takes its defaults for options that are undefined', () => {
    const options = { eps: undefined, rtol: undefined, method: undefined, wrt: undefined }
    expect(check(squareWith(0.01, 2), options)).toEqual(check(squareWith(0.01, 2)))
  })

  it('extrapolates only where it is told to', () => {
    const cube = (a: Tensor): Tensor => mul(mul(a, a), a)
    expect(check(cube, { eps: 0.1 }).ok).toBe(false)
    expect(check(cube, { eps: 0.1, method: 'richardson' }).ok).toBe(true)
  })

  it('needs no backend but that of its inputs, and leaves integers alone', () => {
    const options = { backend: reference() }
    const table = tensor([1, 2, 3, 4], [2, 2], options)
    const rows = tensor([1, 0, 1], [3], { dtype: 'int32', ...options })
    expect(gradcheck((t, i) => embedding(i, t), [table, rows])).toMatchObject({
      ok: true,
      checked: 4,
    })
  })

  it('refuses float32', () => {
    const x = tensor([1], [1], { backend: wasm() })
    expect(() => gradcheck(exp, [x])).toThrow('gradcheck: expected tensors of a float64 backend')
  })
})

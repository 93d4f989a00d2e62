// Properties of LoRA for random shapes, always with scale ≠ 1, B ≠ 0, x ≠ 0 and bias ≠ 0: a scale
// on the base, or a forgotten transpose, would be invisible otherwise.

import fc from 'fast-check'
import { backward, Linear, Parameter, Random, step, tensor, withBackend } from 'lowrank'
import { LoraModule, merge, unmerge } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { gradcheck } from '../../src/core/gradcheck.ts'
import { add } from '../../src/ops/add.ts'
import { loraLinear } from '../../src/ops/lora_linear.ts'
import { matmul } from '../../src/ops/matmul.ts'
import { mul } from '../../src/ops/mul.ts'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'

const sizes = fc.record({
  batch: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  I: fc.integer({ min: 1, max: 12 }),
  O: fc.integer({ min: 1, max: 12 }),
  R: fc.integer({ min: 1, max: 5 }),
  seed: fc.integer({ min: 0, max: 1e6 }),
  scale: fc.constantFrom(0.5, 2, 3, -1.5),
})

type Sizes = typeof sizes extends fc.Arbitrary<infer T> ? T : never

/** Numbers away from zero, so that no term can vanish. */
function draw(seed: number, name: string, count: number): Float32Array {
  const random = new Random(seed, name)
  return Float32Array.from({ length: count }, () => {
    const value = random.uniform() * 2 - 1
    return value + Math.sign(value) * 0.1
  })
}

const countOf = (shape: readonly number[]): number => shape.reduce((n, size) => n * size, 1)

function operands({ batch, I, O, R, seed }: Sizes) {
  const make = (name: string, shape: readonly number[]) =>
    tensor(draw(seed, name, countOf(shape)), shape)
  return {
    x: make('x', [...batch, I]),
    W: make('W', [O, I]),
    b: make('b', [O]),
    A: make('A', [R, I]),
    B: make('B', [O, R]),
  }
}

function layerOf({ I, O, R, seed, scale }: Sizes): LoraModule {
  const base = new Linear(I, O)
  base.weight = new Parameter(draw(seed, 'W', O * I), [O, I])
  base.bias = new Parameter(draw(seed, 'b', O), [O])
  base.freeze()
  const layer = new LoraModule(base)
  layer.adapters.set('default', {
    r: R,
    loraAlpha: R * scale,
    scaling: scale,
    loraDropout: 0,
    A: new Parameter(draw(seed, 'A', R * I), [R, I]),
    B: new Parameter(draw(seed, 'B', O * R), [O, R]),
    bias: undefined,
  })
  layer.active = ['default']
  return layer
}

describe('gradients against finite differences', () => {
  it('hold for x, W, b, A and B', () => {
    fc.assert(
      fc.property(sizes, drawn => {
        withBackend(reference(), () => {
          const { x, W, b, A, B } = operands(drawn)
          const report = gradcheck(
            (x, W, b, A, B) => loraLinear(x, W, b, [{ A, B, scale: drawn.scale }]),
            [x, W, b, A, B],
            { atol: 1e-7, rtol: 1e-6 },
          )
          expect(report.ok, JSON.stringify(report.worst)).toBe(true)
          expect(report.checked).toBe([x, W, b, A, B].reduce((sum, { size }) => sum + size, 0))
        })
      }),
      { numRuns: 40 },
    )
  })

  it('hold for two updates at once', () => {
    fc.assert(
      fc.property(sizes, drawn => {
        withBackend(reference(), () => {
          const { x, W, b, A, B } = operands(drawn)
          const other = operands({ ...drawn, seed: drawn.seed + 1, R: drawn.R + 1 })
          const report = gradcheck(
            (x, A1, B1, A2, B2) =>
              loraLinear(x, W, b, [
                { A: A1, B: B1, scale: drawn.scale },
                { A: A2, B: B2, scale: 0.7 },
              ]),
            [x, A, B, other.A, other.B],
            { atol: 1e-7, rtol: 1e-6 },
          )
          expect(report.ok, JSON.stringify(report.worst)).toBe(true)
        })
      }),
      { numRuns: 20 },
    )
  })
})

describe.each(backends)('on $name', ({ make }) => {
  const tolerance = (sizes: Sizes): number => 2e-6 * (sizes.I + sizes.R + 1)

  it('equals x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ', () => {
    fc.assert(
      fc.property(sizes, drawn => {
        withBackend(make(), () => {
          const { x, W, b, A, B } = operands(drawn)
          const u = matmul(x, A, { transposeB: true })
          const update = mul(matmul(u, B, { transposeB: true }), drawn.scale)
          const want = add(add(matmul(x, W, { transposeB: true }), b), update)
          const got = loraLinear(x, W, b, [{ A, B, scale: drawn.scale }])
          expect(got.shape).toEqual([...drawn.batch, drawn.O])
          const error = scaledError(got.dataSync(), want.dataSync())
          expect(error).toBeLessThanOrEqual(tolerance(drawn))
        })
      }),
      { numRuns: 30 },
    )
  })

  it('merged equals adapter, unmerging restores every bit, the base is never written', () => {
    fc.assert(
      fc.property(sizes, drawn => {
        withBackend(make(), () => {
          const layer = layerOf(drawn)
          const x = tensor(draw(drawn.seed, 'x', drawn.I), [1, drawn.I])
          const before = layer.base.weight.bits()
          const adapted = layer.forward(x).dataSync()
          merge(layer)
          const merged = layer.forward(x).dataSync()
          expect(scaledError(merged, adapted)).toBeLessThanOrEqual(tolerance(drawn))
          unmerge(layer)
          expect(layer.forward(x).dataSync()).toEqual(adapted)
          expect(layer.base.weight.bits()).toEqual(before)
        })
      }),
      { numRuns: 20 },
    )
  })

  it('the gradient of a frozen base is never computed', () => {
    withBackend(make(), () => {
      const layer = layerOf({ batch: [2], I: 5, O: 4, R: 2, seed: 3, scale: 2 })
      const x = tensor(draw(3, 'x', 10), [2, 5])
      step(() => backward(layer.forward(x), tensor(draw(3, 'dy', 8), [2, 4])))
      expect(layer.base.weight.grad).toBeUndefined()
      expect(layer.base.bias?.grad).toBeUndefined()
      expect(
        layer.adapters
          .get('default')
          ?.A.grad?.dataSync()
          .some(value => value !== 0),
      ).toBe(true)
    })
  })
})

// ‖s·B·A‖_F, ‖s·B·A‖_F / ‖W‖_F and the singular values against the dense matrix, scale ≠ 1.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  adapterChanges,
  deltaNorm,
  relativeChange,
  singularValues,
} from '../../src/analysis/index.ts'
import { svd } from '../../src/linalg/index.ts'
import type { LoraState } from '../../src/lora/state.ts'
import { Module } from '../../src/nn/module.ts'
import { maxDifference } from '../linalg/matrices.ts'
import { backends } from '../support/backends.ts'
import { denseChange, type MadeUp, madeUpLayer, norm, slack, stateOf } from './layers.ts'

const sizes: fc.Arbitrary<MadeUp> = fc.record({
  rows: fc.integer({ min: 1, max: 12 }),
  cols: fc.integer({ min: 1, max: 12 }),
  ranks: fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 3 }),
  scaling: fc.constantFrom(-2, 0.25, 1.5, 16),
  seed: fc.nat(),
})

class Pair extends Module {
  first: Module
  second: Module
  constructor(first: Module, second: Module) {
    super()
    this.first = first
    this.second = second
  }
  forward(): void {}
}

describe.each(backends)('the change of a layer on $name', ({ make }) => {
  const backend = make()

  it('has the norm and the singular values of the dense matrix', async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async made => {
        const layer = madeUpLayer(made, backend)
        const states = layer.states()
        const dense = denseChange(states)
        const weight = norm(Float64Array.from(layer.base.weight.dataSync()))
        expect(Math.abs((await deltaNorm(states)) - norm(dense))).toBeLessThanOrEqual(slack(made))
        const relative = await relativeChange(layer)
        expect(Math.abs(relative - norm(dense) / weight)).toBeLessThanOrEqual(slack(made) / weight)
        const got = await singularValues(states)
        const { s } = svd(dense, made.rows, made.cols)
        expect(maxDifference(got, s.subarray(0, got.length))).toBeLessThanOrEqual(slack(made))
        layer.dispose()
      }),
    )
  })

  it('is exact for orthogonal factors: 3·diag(4, 0.5)', async () => {
    const state = stateOf([0, 0.5, 0, 4, 0, 0], [0, 1, 1, 0], 2, 3, backend)
    expect(Array.from(await singularValues(state))).toEqual([12, 1.5])
    expect(await deltaNorm(state)).toBe(Math.sqrt(144 + 2.25))
  })

  it('takes one adapter by name, several together, or none', async () => {
    const made = { rows: 5, cols: 7, ranks: [2, 1], scaling: 1.5, seed: 3 }
    const layer = madeUpLayer(made, backend)
    const [first, second] = layer.states()
    const weight = norm(Float64Array.from(layer.base.weight.dataSync()))
    const near = (got: number, states: LoraState[]): void =>
      expect(Math.abs(got - norm(denseChange(states)) / weight)).toBeLessThan(slack(made))
    near(await relativeChange(layer, 'a0'), [first])
    near(await relativeChange(layer, ['a1']), [second])
    near(await relativeChange(layer), [first, second])
    expect(await relativeChange(layer, null)).toBe(0)
    await expect(relativeChange(layer, 'b')).rejects.toThrow(
      'relativeChange: there is no adapter "b" (there are: a0, a1)',
    )
    await expect(deltaNorm([])).rejects.toThrow('deltaNorm: expected at least one adapter on it')
  })

  it('is zero where B is, also relative to a zero weight, and refuses NaN', async () => {
    const layer = madeUpLayer({ rows: 3, cols: 4, ranks: [2], scaling: 2, seed: 1 }, backend)
    const [state] = layer.states()
    layer.base.weight.replace(new Float32Array(12))
    expect(await relativeChange(layer)).toBe(Number.POSITIVE_INFINITY)
    state.B.replace(new Float32Array(6))
    expect(await relativeChange(layer)).toBe(0)
    expect(Array.from(await singularValues(state))).toEqual([0, 0])
    state.A.replace(new Float32Array(8).fill(Number.NaN))
    await expect(relativeChange(layer)).rejects.toThrow('expected finite numbers, got NaN')
  })

  it('is listed for every layer that the adapter is on, in the order of the model', async () => {
    const made = { rows: 4, cols: 6, ranks: [2, 3], scaling: 0.5, seed: 8 }
    const [first, second] = [madeUpLayer(made, backend), madeUpLayer({ ...made, seed: 9 }, backend)]
    second.adapters.delete('a1')
    const model = new Pair(first, second)
    const changes = await adapterChanges(model, ['a0', 'a1'])
    expect(changes.map(({ path, r }) => [path, r])).toEqual([
      ['first', 5],
      ['second', 2],
    ])
    const [{ deltaNorm: delta, weightNorm, relativeChange: relative, singularValues: s }] = changes
    expect(delta).toBe(await deltaNorm(first.states()))
    expect(relative).toBe(delta / weightNorm)
    expect(s).toEqual(Array.from(await singularValues(first.states())))
    expect((await adapterChanges(model, 'a1')).map(({ path }) => path)).toEqual(['first'])
    await expect(adapterChanges(model, 'b')).rejects.toThrow('there is no adapter "b"')
  })
})

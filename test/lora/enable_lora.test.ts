// enableLora: fused projections of which some parts are adapted, with patterns, on other backends, and
// beside other adapters.

import { Linear, manualSeed, tensor, withBackend } from 'lowrank'
import { attach, type LoraConfig, type LoraModule, plan } from 'lowrank/lora'
import { reference } from 'lowrank/reference'
import { describe, expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'

describe('enableLora', () => {
  const fused = (
    config: LoraConfig,
    name = 'default',
    base: Linear | LoraModule = new Linear(5, 6),
  ) =>
    attach(base as Linear, { r: 2, loraAlpha: 6, ...config }, { adapterName: name }) as LoraModule

  it('counts ranks and alphas of patterns for each part', () => {
    manualSeed(1)
    const model = tinyLlama()
    const config = {
      r: 2,
      loraAlpha: 6,
      targetModules: ['q_proj'],
      enableLora: [true, false, true, false],
      rankPattern: { '0.self_attn.q_proj': 1 },
      alphaPattern: { '1.self_attn.q_proj': 5 },
    }
    const sizes = (useRslora: boolean) =>
      plan(model, { ...config, useRslora }).layers.map(({ r, scaling }) => [r, scaling])
    expect(sizes(false)).toEqual([
      [2, 6],
      [4, 2.5],
    ])
    const stabilised = sizes(true)
    expect(stabilised.map(([r]) => r)).toEqual([2, 4])
    expect(stabilised[0][1]).toBeCloseTo(6, 12)
    expect(stabilised[1][1]).toBeCloseTo(5 / Math.sqrt(2), 12)
  })

  it('may start by "gaussian", and computes on the backend of its layer', () => {
    const backend = reference()
    const base = withBackend(backend, () => new Linear(5, 6))
    const layer = fused({ enableLora: [true, false], initLoraWeights: 'gaussian' }, 'a', base)
    const x = withBackend(backend, () => tensor([1, 2, 3, 4, 5], [1, 5]))
    expect(layer.forward(x).backend).toBe(backend)
  })

  it('adds to what other adapters give', () => {
    const layer = fused({ enableLora: [true, false] }, 'a')
    fused({ enableLora: [false, true] }, 'b', layer)
    fused({ initLoraWeights: false }, 'c', layer)
    for (const name of ['a', 'b']) {
      const { B } = layer.adapters.get(name)!
      B.replace(B.dataSync().map((_, i) => 1 + i / 4))
    }
    const x = tensor([1, 2, -3, 0.5, 1], [1, 5])
    const y = (adapter: readonly string[] | null) => [...layer.forward(x, { adapter }).dataSync()]
    const base = y(null)
    const want = base.map((value, i) => {
      return value + ['a', 'b', 'c'].reduce((sum, name) => sum + y([name])[i] - value, 0)
    })
    for (const order of [
      ['a', 'b', 'c'],
      ['c', 'a', 'b'],
      ['a', 'c', 'b'],
    ]) {
      y(order).forEach((value, i) => {
        expect(value).toBeCloseTo(want[i], 4)
      })
    }
  })
})

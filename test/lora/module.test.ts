// A wrapped layer: the names of its parameters, what a merged one computes with, what it counts and draws.

import { Linear, manualSeed, step, type Tensor, tensor } from 'lowrank'
import { attach, type LoraConfig, merge, withAdapter } from 'lowrank/lora'
import { Embedding } from 'lowrank/nn'
import { describe, expect, it } from 'vitest'
import { nextDraw } from '../../src/core/random_state.ts'

const x = (): Tensor => tensor([0.5, -1, 2, 1.5], [1, 4])

describe('a wrapped layer', () => {
  it.each([
    [{}, ['lora_A.a.weight', 'lora_B.a.weight']],
    [{ loraBias: true }, ['lora_A.a.weight', 'lora_B.a.weight', 'lora_B.a.bias']],
    [{ useDora: true }, ['lora_A.a.weight', 'lora_B.a.weight', 'lora_magnitude_vector.a']],
  ] satisfies [LoraConfig, string[]][])('has the names that PEFT gives: %j', (config, own) => {
    const layer = attach(new Linear(4, 3), { r: 2, ...config }, { adapterName: 'a' })
    const names = [...layer.namedParameters()].map(([name]) => name)
    expect(names).toEqual([...own, 'base_layer.weight', 'base_layer.bias'])
    const table = attach(new Embedding(4, 3), { r: 2 }, { adapterName: 'a' })
    expect([...table.namedParameters()].map(([name]) => name)).toEqual([
      'lora_embedding_A.a',
      'lora_embedding_B.a',
      'base_layer.weight',
    ])
  })

  it('computes with what was merged unless a call names adapters', () => {
    const layer = attach(new Linear(4, 3), { r: 2, initLoraWeights: false })
    const base = layer.forward(x(), { adapter: null }).dataSync()
    const own = layer.forward(x()).dataSync()
    merge(layer)
    const { weight } = layer.merged as Linear
    weight.replace(weight.dataSync().map(value => value * 2))
    const doubled = layer.forward(x()).dataSync()
    expect(doubled).not.toEqual(own)
    expect(layer.forward(x(), { adapter: 'default' }).dataSync()).toEqual(own)
    expect(layer.forward(x(), { adapter: null }).dataSync()).toEqual(base)
    expect(withAdapter('default', () => layer.forward(x()).dataSync())).toEqual(own)
    expect(withAdapter(null, () => layer.forward(x()).dataSync())).toEqual(base)
    layer.unmerge()
    expect(layer.forward(x()).dataSync()).toEqual(own)
  })

  it('counts how often it ran', () => {
    const layer = attach(new Linear(4, 3), { r: 2 })
    layer.forward(x())
    layer.forward(x())
    expect(layer.calls).toBe(2)
  })

  it('draws nothing without dropout', () => {
    const layer = attach(new Linear(4, 3), { r: 2, initLoraWeights: false })
    manualSeed(1)
    const want = nextDraw()
    manualSeed(1)
    step(() => layer.forward(x()))
    expect(nextDraw()).toEqual(want)
  })
})

// A layer around weights that are there draws nothing: what is drawn after a merge is what would have been
// drawn without it.

import { Conv1D, Conv2d, Embedding, Linear, LowrankError, manualSeed } from 'lowrank'
import { attach, mergedLayer } from 'lowrank/lora'
import { resizeTokenEmbeddings } from 'lowrank/models'
import type { Adaptable } from 'lowrank/nn'
import { describe, expect, it } from 'vitest'
import { nextDraw } from '../../src/core/random_state.ts'
import { tinyLlama } from '../support/models.ts'

const LAYERS: readonly [string, () => Adaptable][] = [
  ['Linear', () => new Linear(3, 2)],
  ['Conv1D', () => new Conv1D(3, 2)],
  ['Embedding', () => new Embedding(5, 2, { scale: 2, paddingIdx: 1 })],
  ['Conv2d', () => new Conv2d(4, 2, 3, { groups: 2, stride: 2, padding: [1, 0] })],
]

describe.each(LAYERS)('like of %s', (_, make) => {
  it('makes the same layer around its parameters', () => {
    const layer = make()
    const other = layer.like(layer.weight, layer.bias)
    expect(other).not.toBe(layer)
    expect({ ...other }).toEqual({ ...layer })
    expect([other.weight, other.bias]).toEqual([layer.weight, layer.bias])
    expect(other.weight).toBe(layer.weight)
  })

  it('draws nothing', () => {
    manualSeed(5)
    const layer = make()
    const next = nextDraw()
    manualSeed(5)
    const again = make()
    again.like(layer.weight, layer.bias)
    expect(nextDraw()).toEqual(next)
  })
})

it('merging a layer or resizing a model draws nothing', () => {
  manualSeed(5)
  const layer = attach(new Linear(3, 2), { r: 1 })
  const model = tinyLlama()
  const next = nextDraw()
  manualSeed(5)
  attach(new Linear(3, 2), { r: 1 })
  tinyLlama()
  mergedLayer(layer)
  resizeTokenEmbeddings(model, 44)
  expect(nextDraw()).toEqual(next)
})

describe('a convolution in groups', () => {
  it.each([
    [3, 4, 2],
    [4, 3, 2],
    [4, 4, 0],
    [4, 4, 1.5],
    [4, 4, -2],
  ])('of %i and %i channels is refused for %s groups', (inChannels, outChannels, groups) => {
    const make = (): Conv2d => new Conv2d(inChannels, outChannels, 1, { groups })
    expect(make).toThrow(LowrankError)
    expect(make).toThrow(`${inChannels} and ${outChannels} channels`)
  })
})

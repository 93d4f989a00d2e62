// PiSSA and OLoRA as plain LoRA of twice the rank: for a layer alone, and for the layers of one adapter.

import { Linear, Module, manualSeed, Random, type Tensor, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { attach, convertToLora, load, loraLayers } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { scaledError } from '../../support/fixture.ts'

function layerOf(): Linear {
  manualSeed(3)
  return new Linear(7, 5)
}

function rows(): Tensor {
  const random = new Random(5)
  return tensor(
    Array.from({ length: 28 }, () => random.normal()),
    [4, 7],
  )
}

class Two extends Module {
  fc: Linear = new Linear(4, 4)
  out: Linear = new Linear(4, 4)

  forward(x: Tensor): Tensor {
    return this.out.forward(this.fc.forward(x))
  }
}

describe('convertToLora', () => {
  it('takes a single layer, and one of two adapters, the base as it is', async () => {
    const layer = attach(layerOf(), { r: 2, loraAlpha: 3, initLoraWeights: 'pissa' })
    const { B } = layer.adapters.get('default')!
    B.replace(B.dataSync().map(value => value + 0.5))
    const want = layer.forward(rows()).dataSync()
    attach(layer, { r: 2 }, { adapterName: 'plain' })
    const files = memoryDirectory()
    await convertToLora(layer, files, { adapterName: 'default' })
    const again = await load(layerOf(), files)
    expect(scaledError(again.forward(rows()).dataSync(), want)).toBeLessThan(1e-5)
    await expect(convertToLora(layer, memoryDirectory())).rejects.toThrow('got "plain"')
  })

  it('reads the layers of its adapter alone', async () => {
    const model = new Two()
    const first = { targetModules: ['fc'], r: 2, initLoraWeights: 'olora' }
    attach(model, first, { adapterName: 'a' })
    attach(model, { targetModules: ['fc', 'out'], r: 2 }, { adapterName: 'b' })
    const files = memoryDirectory()
    await convertToLora(model, files, { adapterName: 'a' })
    const read = await load(new Two(), files)
    expect(loraLayers(read).map(({ path, layer }) => [path, layer.states()[0].r])).toEqual([
      ['fc', 4],
    ])
  })
})

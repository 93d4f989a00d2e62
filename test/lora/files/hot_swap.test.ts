// Adapters swapped for others that have other layers, or layers of other kinds: what is not in the new
// one counts for nothing, and files of the result mean the same.

import { Linear, Module, manualSeed, type Tensor, tensor } from 'lowrank'
import { type Directory, memoryDirectory, readJson } from 'lowrank/io'
import {
  attach,
  hotSwap,
  type LoraConfig,
  load,
  loraLayers,
  padRanks,
  saveAdapter,
  withAdapter,
} from 'lowrank/lora'
import { Embedding } from 'lowrank/nn'
import { describe, expect, it } from 'vitest'

class Pair extends Module {
  first: Linear = new Linear(4, 4)
  second: Linear = new Linear(4, 4)

  forward(h: Tensor): Tensor {
    return this.second.forward(this.first.forward(h))
  }
}

const x = (): Tensor => tensor([0.5, -1, 2, 1.5], [1, 4])

/** The same model every time. */
function pair(): Pair {
  manualSeed(3)
  return new Pair()
}

async function fileOf(config: LoraConfig, seed = 1): Promise<Directory> {
  const model = pair()
  manualSeed(seed)
  attach(model, { r: 2, initLoraWeights: false, ...config })
  for (const parameter of model.trainable()) {
    parameter.replace(parameter.dataSync().map(value => value + 0.25))
  }
  const out = memoryDirectory()
  await saveAdapter(model, out)
  return out
}

const BOTH = ['first', 'second']

function expectClose(got: ArrayLike<number>, want: ArrayLike<number>): void {
  Array.from(want).forEach((value, i) => {
    expect(got[i]).toBeCloseTo(value, 5)
  })
}

describe('hotSwap', () => {
  it.each([
    ['plain', {}],
    ['DoRA', { useDora: true }],
    ['biased', { loraBias: true }],
  ] satisfies [string, LoraConfig][])('clears layers without an update: %s', async (_, config) => {
    const one = await fileOf({ ...config, targetModules: BOTH })
    const two = await fileOf({ ...config, targetModules: ['second'], loraAlpha: 5 }, 2)
    const model = await load(pair(), one)
    await hotSwap(model, two)
    const want = (await load(pair(), two)).forward(x()).dataSync()
    expectClose(model.forward(x()).dataSync(), want)
    const out = memoryDirectory()
    await saveAdapter(model, out)
    expectClose((await load(pair(), out)).forward(x()).dataSync(), want)
  })

  it('refuses layers that the adapter has nothing on, by their paths', async () => {
    const model = await load(pair(), await fileOf({ targetModules: ['second'] }))
    await load(model, await fileOf({ targetModules: BOTH }), { adapterName: 'other' })
    const swap = hotSwap(model, await fileOf({ targetModules: BOTH }))
    await expect(swap).rejects.toThrow('"first" has no adapter "default" to swap')
    const plain = await load(pair(), await fileOf({ targetModules: ['second'] }))
    const absent = hotSwap(plain, await fileOf({ targetModules: BOTH }))
    await expect(absent).rejects.toThrow('"first" has no adapter "default" to swap')
  })

  it('touches the layers of its adapter alone', async () => {
    const model = await load(pair(), await fileOf({ targetModules: ['second'] }))
    await load(model, await fileOf({ targetModules: BOTH }, 5), { adapterName: 'other' })
    const other = (): ArrayLike<number> => withAdapter('other', () => model.forward(x()).dataSync())
    const before = other()
    padRanks(model, 3)
    const two = await fileOf({ targetModules: ['second'], r: 3 }, 2)
    await hotSwap(model, two)
    expect(loraLayers(model).map(({ layer }) => layer.names())).toEqual([
      ['other'],
      ['default', 'other'],
    ])
    expect(other()).toEqual(before)
  })

  it('says one rank and one alpha, and those of layers that have others', async () => {
    const configs: LoraConfig[] = [
      { r: 2, loraAlpha: 6 },
      { r: 2, loraAlpha: 6, rankPattern: { second: 1 }, alphaPattern: { second: 3 } },
      { r: 2, loraAlpha: 6, alphaPattern: { second: 5 } },
    ]
    const patterns: unknown[] = []
    for (const config of configs) {
      const model = await load(pair(), await fileOf({ targetModules: BOTH, r: 3 }))
      await hotSwap(model, await fileOf({ targetModules: BOTH, ...config }, 2))
      const out = memoryDirectory()
      await saveAdapter(model, out)
      const json = (await readJson(out, 'adapter_config.json')) as Record<string, unknown>
      patterns.push([json.r, json.lora_alpha, json.rank_pattern, json.alpha_pattern])
    }
    // The rank is the one that is there, alpha what makes alpha / r the same.
    expect(patterns).toEqual([
      [3, 9, {}, {}],
      [3, 9, {}, {}],
      [3, 9, {}, { '^second': 7.5 }],
    ])
  })

  it('says the ranks of the layers that are there', async () => {
    const model = await load(
      pair(),
      await fileOf({ targetModules: BOTH, rankPattern: { second: 1 } }),
    )
    await hotSwap(model, await fileOf({ targetModules: BOTH, r: 1, loraAlpha: 2 }, 2))
    const out = memoryDirectory()
    await saveAdapter(model, out)
    const json = (await readJson(out, 'adapter_config.json')) as Record<string, unknown>
    expect([json.r, json.lora_alpha]).toEqual([2, 4])
    expect([json.rank_pattern, json.alpha_pattern]).toEqual([{ '^second': 1 }, { '^second': 2 }])
  })

  it('serves an embedding whose factors the backend has laid out in its own way', async () => {
    const make = (): Embedding => {
      manualSeed(3)
      return new Embedding(9, 6)
    }
    const ids = tensor([3, 7, 1], [3], { dtype: 'int32' })
    const file = async (seed: number): Promise<Directory> => {
      const layer = make()
      manualSeed(seed)
      const out = memoryDirectory()
      await saveAdapter(attach(layer, { r: 2, initLoraWeights: false }), out)
      return out
    }
    const layer = await load(make(), await file(1))
    layer.forward(ids).dataSync()
    await hotSwap(layer, await file(2))
    const want = (await load(make(), await file(2))).forward(ids).dataSync()
    expect(layer.forward(ids).dataSync()).toEqual(want)
  })
})

describe('padRanks', () => {
  it('names an adapter that is not there', () => {
    const model = attach(pair(), { r: 2, targetModules: BOTH })
    expect(() => padRanks(model, 4, 'other')).toThrow('there is no adapter "other"')
  })
})

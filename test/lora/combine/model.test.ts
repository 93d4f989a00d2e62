// Adapters combined on a model and in files: what the new one computes, what is left alone, and what
// is refused before anything changes.

import { Linear, Module, manualSeed, type Tensor, tensor } from 'lowrank'
import { memoryDirectory, readJson } from 'lowrank/io'
import {
  adapterNames,
  attach,
  combine,
  combineFiles,
  type LoraConfig,
  load,
  loraLayers,
  saveAdapter,
  setAdapter,
} from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { Embedding } from 'lowrank/nn'
import { describe, expect, it } from 'vitest'
import { Random } from '../../../src/core/rng.ts'
import { scaledError } from '../../support/fixture.ts'
import { tinyLlama } from '../../support/models.ts'
import { savedAdapter } from '../files/adapters.ts'

function draw(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => random.normal())
}

/** A layer with two adapters, B ≠ 0, scales 2 and 2.5. */
function layerWithTwo() {
  const random = new Random(9)
  const layer = attach(new Linear(6, 5), { r: 2, loraAlpha: 4 }, { adapterName: 'a' })
  attach(layer, { r: 2, loraAlpha: 5 }, { adapterName: 'b' })
  for (const { A, B } of layer.adapters.values()) {
    A.replace(draw(random, A.size))
    B.replace(draw(random, B.size))
  }
  const x = tensor(draw(random, 18), [3, 6])
  const y = (adapter: string | null) => layer.forward(x, { adapter }).dataSync()
  return { layer, y }
}

class Biased extends Module {
  embed_tokens: Embedding = new Embedding(5, 4)
  up_proj: Linear = new Linear(4, 4)
  down_proj: Linear = new Linear(4, 4)

  forward(x: Tensor): Tensor {
    return this.down_proj.forward(this.up_proj.forward(x))
  }
}

describe('combine on a model', () => {
  it.each(['cat', 'svd'] as const)('%s gives the weighted sum of what each adds', async type => {
    const { layer, y } = layerWithTwo()
    const [base, a, b] = [y(null), y('a'), y('b')]
    const svdRank = type === 'svd' ? 4 : undefined
    const weights = [0.7, -1.5]
    await combine(layer, ['a', 'b'], { adapterName: 'ab', combinationType: type, weights, svdRank })
    const want = base.map((value, i) => value + 0.7 * (a[i] - value) - 1.5 * (b[i] - value))
    // float32, sums of 6 and 4 products.
    expect(scaledError(y('ab'), want)).toBeLessThan(1e-5)
  })

  it('leaves the others and the default as they are; the new one is frozen', async () => {
    const { layer, y } = layerWithTwo()
    setAdapter(layer, 'a')
    const before = ['a', 'b'].map(y)
    await combine(layer, ['a', 'b'], { adapterName: 'ab' })
    expect(['a', 'b'].map(y)).toEqual(before)
    expect(layer.active).toEqual(['a'])
    const { A, B } = layer.adapters.get('ab')!
    expect([A.requiresGrad, B.requiresGrad]).toEqual([false, false])
    expect(layer.adapters.get('a')!.A.requiresGrad).toBe(true)
  })

  it('is saved and read like any other', async () => {
    const { layer, y } = layerWithTwo()
    await combine(layer, ['a', 'b'], { adapterName: 'ab', combinationType: 'cat' })
    const files = memoryDirectory()
    await saveAdapter(layer, files, { adapterName: 'ab' })
    const again = await load(layer, files, { adapterName: 'again' })
    expect(again.adapters.get('again')?.r).toBe(4)
    expect(y('again')).toEqual(y('ab'))
  })

  it('takes layers that only one of them has', async () => {
    const model = tinyLlama()
    attach(model, { r: 2, targetModules: ['q_proj'] }, { adapterName: 'a' })
    attach(model, { r: 2, targetModules: ['down_proj'] }, { adapterName: 'b' })
    await combine(model, ['a', 'b'], { adapterName: 'ab', combinationType: 'linear' })
    const adapted = loraLayers(model).filter(({ layer }) => layer.adapters.has('ab'))
    expect(adapted.length).toBe(4)
  })

  describe.each([
    ['blocks of their own', { layersToTransform: [0] }, { layersToTransform: [1] }],
    ['one block', { layersToTransform: [1] }, { layersToTransform: [1] }],
    ['one block by its number', { layersToTransform: 0 }, { layersToTransform: 0 }],
    ['a layer less', { excludeModules: ['layers.0.self_attn.q_proj'] }, { layersToTransform: 1 }],
    ['excluded layers', { excludeModules: ['layers.0.self_attn.q_proj'] }, {}],
    ['excluded in one list', {}, { excludeModules: '.*layers.0.*' }],
    ['patterns', { targetModules: '.*0.*q_proj' }, { targetModules: '.*1.*v_proj' }],
  ] satisfies [string, LoraConfig, LoraConfig][])('of adapters with %s', (_, first, second) => {
    const config = { r: 2, targetModules: ['q_proj'], initLoraWeights: false }
    const plain = (): CausalLM => {
      manualSeed(1)
      return tinyLlama()
    }
    const combined = async (): Promise<CausalLM> => {
      const model = plain()
      attach(model, { ...config, ...first }, { adapterName: 'a' })
      attach(model, { ...config, ...second }, { adapterName: 'b' })
      await combine(model, ['a', 'b'], { adapterName: 'ab', combinationType: 'cat' })
      return model
    }
    const pathsOf = (model: CausalLM, names: readonly string[]): string[] =>
      loraLayers(model)
        .filter(({ layer }) => names.some(name => layer.adapters.has(name)))
        .map(({ path }) => path)
    const ids = tensor([3, 7, 1, 9], [1, 4], { dtype: 'int32' })

    it('has the layers of both, and is read again', async () => {
      const model = await combined()
      expect(pathsOf(model, ['ab'])).toEqual(pathsOf(model, ['a', 'b']))
      const files = memoryDirectory()
      await saveAdapter(model, files, { adapterName: 'ab' })
      const again = await load(plain(), files)
      const want = model.forward(ids, { adapter: 'ab' }).dataSync()
      expect(again.forward(ids).dataSync()).toEqual(want)
    })

    it('is read from files', async () => {
      const model = await combined()
      const files = ['a', 'b'].map(() => memoryDirectory())
      await saveAdapter(model, files[0], { adapterName: 'a' })
      await saveAdapter(model, files[1], { adapterName: 'b' })
      const out = memoryDirectory()
      await combineFiles(files, out, { combinationType: 'cat' })
      const again = await load(plain(), out)
      const want = model.forward(ids, { adapter: 'ab' }).dataSync()
      expect(again.forward(ids).dataSync()).toEqual(want)
    })
  })

  it('refuses biases of the base, also where no layer has one', async () => {
    const { layer } = layerWithTwo()
    attach(layer, { r: 2, bias: 'all' }, { adapterName: 'c' })
    const run = combine(layer, ['a', 'c'], { adapterName: 'ac' })
    await expect(run).rejects.toThrow(`"c" has bias 'all'`)
    const { files } = await savedAdapter({ bias: 'all' })
    await expect(combineFiles([files], memoryDirectory())).rejects.toThrow('biases of the base')
  })

  it.each([
    [{ modulesToSave: ['down_proj'] }, '"b" has modulesToSave'],
    [{ trainableTokenIndices: [1] }, '"b" has trainableTokenIndices'],
    [{ targetParameters: ['up_proj.weight'] }, '"b" has targetParameters'],
    [{ bias: 'lora_only' }, 'parameters of the base of its own'],
  ] satisfies [LoraConfig, string][])('refuses %j', async (config, part) => {
    const model = new Biased()
    attach(model, { r: 2, targetModules: ['up_proj'] }, { adapterName: 'a' })
    attach(model, { r: 2, targetModules: ['up_proj'], ...config }, { adapterName: 'b' })
    await expect(combine(model, ['a', 'b'], { adapterName: 'ab' })).rejects.toThrow(part)
  })

  it.each([
    [{ r: 1, rankPattern: { up_proj: 3 } }, 3],
    [{ r: 3, rankPattern: { up_proj: 1 } }, 3],
  ])('takes the largest rank of a configuration: %j', async (config, r) => {
    const model = new Biased()
    attach(model, { targetModules: ['up_proj'], ...config }, { adapterName: 'a' })
    await combine(model, ['a'], { adapterName: 'b' })
    expect(loraLayers(model)[0].layer.adapters.get('b')?.r).toBe(r)
    const files = memoryDirectory()
    await saveAdapter(model, files, { adapterName: 'a' })
    const out = memoryDirectory()
    await combineFiles([files], out)
    expect(((await readJson(out, 'adapter_config.json')) as { r: number }).r).toBe(r)
  })

  it('means layers whose paths others end in by themselves', async () => {
    class Outer extends Module {
      up_proj: Linear = new Linear(4, 4)
      inner: Biased = new Biased()

      forward(x: Tensor): Tensor {
        return this.inner.forward(this.up_proj.forward(x))
      }
    }
    const model = new Outer()
    const config = { r: 2, targetModules: ['up_proj'], excludeModules: ['inner.up_proj'] }
    attach(model, config, { adapterName: 'a' })
    await combine(model, ['a'], { adapterName: 'b' })
    expect(loraLayers(model).map(({ path }) => path)).toEqual(['up_proj'])
  })

  it('may have a rank above the sizes of a layer', async () => {
    const { layer, y } = layerWithTwo()
    await combine(layer, ['a', 'b'], { adapterName: 'ab', combinationType: 'cat' })
    await combine(layer, ['a', 'ab'], { adapterName: 'aab', combinationType: 'cat' })
    expect(layer.adapters.get('aab')?.A.shape).toEqual([6, 6])
    const [base, a, ab] = [y(null), y('a'), y('ab')]
    const want = base.map((value, i) => a[i] + ab[i] - value)
    expect(scaledError(y('aab'), want)).toBeLessThan(1e-5)
  })

  it('refuses names that are unknown or taken, and what it would lose', async () => {
    const { layer } = layerWithTwo()
    const failing = (names: string[], adapterName: string) => combine(layer, names, { adapterName })
    await expect(failing(['a', 'nope'], 'ab')).rejects.toThrow('there is no adapter "nope"')
    await expect(failing(['a', 'b'], 'b')).rejects.toThrow('there is an adapter "b" already')
    attach(layer, { r: 2, useDora: true }, { adapterName: 'dora' })
    await expect(failing(['a', 'dora'], 'ab')).rejects.toThrow('"dora" has the parameters of dora')
    attach(layer, { r: 2, loraBias: true }, { adapterName: 'bias' })
    await expect(failing(['a', 'bias'], 'ab')).rejects.toThrow('"bias" has a bias of B')
    attach(layer, { r: 2, initLoraWeights: 'pissa' }, { adapterName: 'pissa' })
    await expect(failing(['a', 'pissa'], 'ab')).rejects.toThrow('taken from the base')
    expect(adapterNames(layer)).toEqual(['a', 'b', 'dora', 'bias', 'pissa'])
  })
})

// Another adapter in the place of one that serves: it computes what loading it would, in the buffers that
// were there, and leaves every other byte alone.

import {
  Conv2d,
  Linear,
  LowrankError,
  Module,
  manualSeed,
  memory,
  setBackend,
  type Tensor,
  tensor,
} from 'lowrank'
import { type Directory, memoryDirectory } from 'lowrank/io'
import {
  attach,
  hotSwap,
  type LoraConfig,
  type LoraModule,
  load,
  loraLayers,
  merge,
  padRanks,
  saveAdapter,
} from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { describe, expect, it } from 'vitest'
import { backends } from '../support/backends.ts'
import { tinyLlama } from '../support/models.ts'

const x = (): Tensor => tensor([0.5, -1, 2, 1.5, 1, 0.25], [1, 6])

/** The layer is the same whatever adapters it gets. */
function base(): Linear {
  manualSeed(5)
  return new Linear(6, 4)
}

/** An adapter file whose update is not zero. */
async function file(seed: number, config: LoraConfig): Promise<Directory> {
  const plain = base()
  manualSeed(seed)
  const layer = attach(plain, { initLoraWeights: false, ...config })
  for (const { trained } of [layer.parametersOf('default')]) {
    for (const parameter of trained) {
      parameter.replace(parameter.dataSync().map(value => value + 0.25))
    }
  }
  const out = memoryDirectory()
  await saveAdapter(layer, out)
  return out
}

const outputs = (layer: LoraModule, adapter = 'default'): ArrayLike<number> =>
  layer.forward(x(), { adapter }).dataSync()

describe.each(backends)('hotSwap on $name', ({ make }) => {
  const run = async (fn: () => Promise<void>): Promise<void> => {
    setBackend(make())
    await fn().finally(() => setBackend(undefined))
  }

  it.each([
    ['plain', { r: 2, loraAlpha: 6 }, { r: 4, loraAlpha: 2 }],
    ['rank-stabilised', { r: 2, loraAlpha: 6 }, { r: 3, loraAlpha: 2, useRslora: true }],
    ['DoRA', { r: 1, loraAlpha: 3, useDora: true }, { r: 3, loraAlpha: 2, useDora: true }],
    ['biased', { r: 1, loraAlpha: 3, loraBias: true }, { r: 2, loraAlpha: 2, loraBias: true }],
  ] as const)('computes what loading does: %s', (_, first, second) =>
    run(async () => {
      const [one, two] = [await file(1, first), await file(2, second)]
      const want = outputs(await load(base(), two))
      const layer = await load(base(), one)
      padRanks(layer, 4)
      const before = outputs(await load(base(), one))
      Array.from(outputs(layer)).forEach((value, i) => {
        expect(value).toBeCloseTo(before[i], 5)
      })
      await hotSwap(layer, two)
      Array.from(outputs(layer)).forEach((value, i) => {
        expect(value).toBeCloseTo(want[i], 5)
      })
      const out = memoryDirectory()
      await saveAdapter(layer, out)
      Array.from(outputs(await load(base(), out))).forEach((value, i) => {
        expect(value).toBeCloseTo(want[i], 5)
      })
    }),
  )

  it('allocates nothing and leaves other adapters and the base alone', () =>
    run(async () => {
      const [one, two] = [await file(1, { r: 4 }), await file(2, { r: 2 })]
      const first = await load(base(), one)
      const layer = (await load(first, two, { adapterName: 'other' })) as LoraModule<Linear>
      outputs(layer)
      outputs(layer, 'other')
      const state = layer.adapters.get('default')
      const kept = [layer.base.weight, ...layer.parametersOf('other').all].map(p => p.bits())
      const used = memory().used
      await hotSwap(layer, two)
      outputs(layer)
      expect(memory().used).toBe(used)
      expect(layer.adapters.get('default')?.A).toBe(state?.A)
      const now = [layer.base.weight, ...layer.parametersOf('other').all].map(p => p.bits())
      expect(now).toEqual(kept)
      Array.from(outputs(layer)).forEach((value, i) => {
        expect(value).toBeCloseTo(outputs(layer, 'other')[i], 5)
      })
    }))

  it('forgets what was merged', () =>
    run(async () => {
      const [one, two] = [await file(1, { r: 2 }), await file(2, { r: 2 })]
      const layer = await load(base(), one)
      merge(layer)
      await hotSwap(layer, two)
      expect(layer.forward(x()).dataSync()).toEqual(outputs(await load(base(), two)))
    }))

  it('refuses what does not fit, before anything changes', () =>
    run(async () => {
      const layer = await load(base(), await file(1, { r: 2 }))
      const before = outputs(layer)
      const larger = await file(2, { r: 3 })
      const refusal = await hotSwap(layer, larger).catch(error => error)
      expect(refusal).toBeInstanceOf(LowrankError)
      expect(refusal.message).toContain('has room for rank 2, the new adapter has 3')
      const other = await hotSwap(layer, await file(2, { r: 2, useDora: true })).catch(e => e)
      expect(other.message).toContain('expected an adapter like the one that it replaces')
      const absent = await hotSwap(layer, larger, { adapterName: 'b' }).catch(error => error)
      expect(absent.message).toContain('there is no adapter "b"')
      expect(outputs(layer)).toEqual(before)
    }))
})

class Block extends Module {
  fc: Linear = new Linear(4, 4)

  forward(h: Tensor): Tensor {
    return this.fc.forward(h)
  }
}

/** Paths of which one is the end of the other. */
class Nested extends Module {
  block: Block = new Block()
  fc: Linear = new Linear(4, 4)

  forward(h: Tensor): Tensor {
    return this.fc.forward(this.block.forward(h))
  }
}

const convolution = (): Conv2d => {
  manualSeed(6)
  return new Conv2d(4, 4, 1, { groups: 2 })
}

async function saved(model: Module): Promise<Directory> {
  const out = memoryDirectory()
  await saveAdapter(model, out)
  return out
}

function started<M extends Module>(model: M, config: LoraConfig): M {
  manualSeed(9)
  return attach(model, { initLoraWeights: false, r: 2, ...config }) as unknown as M
}

/** A tied model, the same every time, with an adapter. */
function language(config: LoraConfig, tied = true): CausalLM {
  manualSeed(4)
  return started(tinyLlama({ tie_word_embeddings: tied }), { targetModules: ['q_proj'], ...config })
}

describe('hotSwap refuses what it would lose or leave behind', () => {
  const refused = async (model: Module, files: Directory, what: string): Promise<void> => {
    const before = model.parameters().map(parameter => parameter.bits())
    const error = await hotSwap(model, files).catch(caught => caught)
    expect(error).toBeInstanceOf(LowrankError)
    expect(error.code).toBe('target')
    expect(error.message).toContain(what)
    expect(model.parameters().map(parameter => parameter.bits())).toEqual(before)
  }

  it.each([
    ['a start from the base', {}, { initLoraWeights: 'pissa' }, 'got plain LoRA with a start'],
    ['a start that is there', { initLoraWeights: 'pissa' }, {}, 'there is plain LoRA with a start'],
    ['new biases of B', {}, { loraBias: true }, 'got plain LoRA with biases of B'],
    ['old biases of B', { loraBias: true }, {}, 'there is plain LoRA with biases of B'],
  ] satisfies [string, LoraConfig, LoraConfig, string][])('on a layer: %s', (_, one, two, what) =>
    saved(started(base(), two)).then(files => refused(started(base(), one), files, what)),
  )

  it.each([
    ['a module', {}, { modulesToSave: ['lm_head'] }],
    ['tokens', { trainableTokenIndices: [3] }, {}],
    ['a module that is there', { modulesToSave: ['norm'] }, {}],
  ] satisfies [string, LoraConfig, LoraConfig][])('on a model: %s', async (_, one, two) =>
    refused(language(one), await saved(language(two)), 'whole modules, biases or tokens'),
  )

  it('biases of its own', async () => {
    const config = { r: 2, bias: 'lora_only' } as const
    await refused(started(base(), config), await saved(started(base(), {})), 'biases or tokens')
    await refused(started(base(), {}), await saved(started(base(), config)), 'biases or tokens')
  })

  it('another weight of the embedding', async () => {
    const config = { targetModules: ['embed_tokens'] }
    const other = language(config)
    const weight = loraLayers(other)[0].layer.base.weight
    weight.replace(weight.dataSync().map(value => value + 1))
    await refused(language(config), await saved(other), 'weights of the embedding')
    await hotSwap(language(config), await saved(language(config)))
  })

  it('another rank of a convolution in groups', async () => {
    const config = { initLoraWeights: true }
    const two = await saved(started(convolution(), config))
    const four = started(convolution(), { ...config, r: 4 })
    await refused(four, two, 'a convolution in groups of rank 4')
    await hotSwap(started(convolution(), config), two)
  })
})

describe('padRanks', () => {
  it.each([
    ['LoRA-FA', { useLoraFa: true }],
    ['MiCA', { initLoraWeights: 'mica' }],
  ] satisfies [string, LoraConfig][])('trains the factor that was trained: %s', (_, config) => {
    const model = started(base(), config)
    const state = () => (model as unknown as LoraModule).adapters.get('default')
    const before = [state()?.A.requiresGrad, state()?.B.requiresGrad]
    const y = model.forward(x()).dataSync()
    padRanks(model, 4)
    expect([state()?.A.requiresGrad, state()?.B.requiresGrad]).toEqual(before)
    expect(model.trainable().length).toBe(1)
    expect(model.forward(x()).dataSync()).toEqual(y)
  })

  it.each([
    ['fused layers', base, { enableLora: [true, false], initLoraWeights: true }, '"fused"'],
    ['groups', convolution, {}, 'convolution in groups'],
    ['starts', base, { initLoraWeights: 'pissa' }, 'a start that was taken'],
  ] satisfies [string, () => Module, LoraConfig, string][])(
    'refuses what zeros would change: %s',
    (_, make, config, what) => {
      const model = started(make(), config)
      const before = model.parameters()
      expect(() => padRanks(model, 4)).toThrow(what)
      expect(model.parameters()).toEqual(before)
    },
  )

  it('says ranks that mean one layer alone', async () => {
    const model = new Nested()
    started(model, { targetModules: ['fc'], rankPattern: { 'block\\.fc': 1 } })
    padRanks(model, 3)
    const again = await load(new Nested(), await saved(model))
    expect(loraLayers(again).map(({ layer }) => layer.adapters.get('default')?.scaling)).toEqual([
      8, 4,
    ])
  })
})

// What a file of PEFT carries beside an adapter: weights of the embedding and the output layer, which become
// the adapter's own where the base has others; and what else its tensors may be called, and hold.

import { Linear, manualSeed, type Tensor, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  adapterTensors,
  attach,
  type LoraConfig,
  load,
  loraLayers,
  mergeAndUnload,
  saveAdapter,
} from 'lowrank/lora'
import { type LlamaForCausalLM, resizeTokenEmbeddings } from 'lowrank/models'
import { describe, expect, it } from 'vitest'
import { tinyLlama } from '../../support/models.ts'
import { adapterOf } from './adapters.ts'

const ids = (): Tensor => tensor([3, 7, 1, 9], [1, 4], { dtype: 'int32' })

/** The same model every time, but for what is added to its embedding. */
function llama(added = 0): LlamaForCausalLM {
  manualSeed(1)
  const model = tinyLlama()
  const { weight } = model.model.embed_tokens
  weight.replace(weight.dataSync().map((value, i) => value + (i % 3) * added))
  return model
}

async function fileOf(config: LoraConfig) {
  manualSeed(2)
  const model = attach(llama(), { r: 2, initLoraWeights: false, ...config })
  const files = memoryDirectory()
  await saveAdapter(model, files)
  return { files, logits: model.forward(ids()).dataSync() }
}

describe('the weights that a file carries', () => {
  it.each([
    [['embed_tokens'], ['model.embed_tokens.base_layer.weight']],
    [['lm_head', 'q_proj'], ['lm_head.base_layer.weight']],
    [['q_proj'], []],
    // PEFT looks for the bare name in a list.
    [['model.embed_tokens'], []],
    ['.*embed_t.*s', ['model.embed_tokens.base_layer.weight']],
    ['.*(q_proj|no_embed_tokens)', []],
    ['.*embed_tokens', ['model.embed_tokens.base_layer.weight']],
    ['.*q_proj', []],
    [
      '.*(embed_tokens|lm_head)',
      ['model.embed_tokens.base_layer.weight', 'lm_head.base_layer.weight'],
    ],
  ])('of an adapter on %j are %j', (targetModules, wanted) => {
    const model = attach(llama(), { r: 2, targetModules })
    const keys = [...adapterTensors(model, 'default').keys()]
    const carried = keys.filter(key => !key.includes('lora_'))
    expect(carried.map(key => key.replace('base_model.model.', ''))).toEqual(wanted)
  })

  it('are none beside trained tokens', () => {
    const config = { targetModules: ['lm_head'], trainableTokenIndices: [1] }
    const keys = [...adapterTensors(attach(llama(), { r: 2, ...config }), 'default').keys()]
    expect(keys.some(key => key.includes('base_layer'))).toBe(false)
  })

  it('become the adapter’s own where the base has others, and the base stays', async () => {
    const { files, logits } = await fileOf({ targetModules: ['embed_tokens'] })
    const base = llama(1)
    const before = base.forward(ids()).dataSync()
    const model = await load(base, files)
    expect(model.forward(ids()).dataSync()).toEqual(logits)
    expect(model.forward(ids(), { adapter: null }).dataSync()).toEqual(before)
    const [{ layer }] = loraLayers(model)
    expect(layer.states()[0].own?.weight?.requiresGrad).toBe(false)
    const further = await load(llama(1), files, { isTrainable: true })
    const [own] = loraLayers(further).map(({ layer }) => layer.states()[0].own?.weight)
    expect([own?.requiresGrad, further.trainable().length]).toEqual([false, 2])
    mergeAndUnload(model)
    Array.from(model.forward(ids()).dataSync()).forEach((value, i) => {
      expect(value).toBeCloseTo(logits[i], 5)
    })
  })

  it('are the base’s where they are the same', async () => {
    const { files, logits } = await fileOf({ targetModules: ['embed_tokens', 'q_proj'] })
    const model = await load(llama(), files)
    expect(model.forward(ids()).dataSync()).toEqual(logits)
    expect(loraLayers(model).map(({ layer }) => layer.states()[0].own)).toEqual([
      undefined,
      undefined,
      undefined,
    ])
  })

  it('are those of a vocabulary that was resized, whatever is adapted', async () => {
    const resized = (): LlamaForCausalLM => {
      const model = llama()
      resizeTokenEmbeddings(model, 44)
      return model
    }
    const model = attach(resized(), { r: 2, targetModules: ['q_proj'], initLoraWeights: false })
    const files = memoryDirectory()
    await saveAdapter(model, files)
    const keys = [...adapterTensors(model, 'default').keys()].filter(key => !key.includes('lora_'))
    expect(keys.map(key => key.replace('base_model.model.', ''))).toEqual([
      'model.embed_tokens.weight',
      'lm_head.weight',
    ])
    const again = await load(resized(), files)
    expect(again.forward(ids()).dataSync()).toEqual(model.forward(ids()).dataSync())
    await expect(load(llama(), files)).rejects.toThrow('lm_head.weight')
  })

  it('may be missing in a file', async () => {
    const { files } = await fileOf({ targetModules: ['q_proj'] })
    const { files: other } = await fileOf({ targetModules: ['embed_tokens'] })
    const shapes = {
      'base_model.model.model.embed_tokens.lora_embedding_A': [2, 40],
      'base_model.model.model.embed_tokens.lora_embedding_B': [16, 2],
    }
    const bare = adapterOf(shapes, { target_modules: ['embed_tokens'] })
    expect(loraLayers(await load(llama(), bare)).length).toBe(1)
    const head = { ...shapes, 'base_model.model.lm_head.weight': [40, 16] }
    const unexpected = load(llama(), adapterOf(head, { target_modules: ['embed_tokens'] }))
    await expect(unexpected).rejects.toThrow('unexpected "base_model.model.lm_head.weight"')
    expect((await load(llama(), files)).trainable()).toEqual([])
    expect((await load(llama(), files, { isTrainable: true })).trainable().length).toBe(4)
    expect((await load(llama(), other, { isTrainable: true })).trainable().length).toBe(2)
  })
})

describe('the tensors of a file', () => {
  const shapes = {
    'base_model.model.linear.lora_A.weight': [2, 4],
    'base_model.model.linear.lora_B.weight': [3, 2],
  }

  it('are floats', async () => {
    const files = adapterOf(shapes, { target_modules: ['linear'] }, 'I32')
    const failure = load(new Linear(4, 3), files)
    await expect(failure).rejects.toThrow('linear.lora_A.weight" is I32, expected floats')
    for (const dtype of ['F16', 'BF16', 'F64'] as const) {
      const layer = await load(new Linear(4, 3), adapterOf(shapes, {}, dtype))
      expect([...layer.states()[0].B.dataSync()]).toEqual([1, 2, 3, 4, 5, 6])
    }
  })

  it('may have the name that older versions of PEFT gave to magnitudes', async () => {
    for (const name of ['lora_magnitude_vector', 'lora_magnitude_vector.weight']) {
      const own = { ...shapes, [`base_model.model.linear.${name}`]: [3] }
      const layer = await load(new Linear(4, 3), adapterOf(own, { use_dora: true }))
      expect([...(layer.states()[0].extra?.lora_magnitude_vector.dataSync() ?? [])]).toEqual([
        1, 2, 3,
      ])
    }
  })
})

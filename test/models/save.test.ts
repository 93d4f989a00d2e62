// A model that is saved reads as what it was: tied layers that an adapter has parted, wrappers that the
// last adapter was taken from, and nothing where adapters are left.

import { LowrankError, manualSeed, type Tensor, tensor } from 'lowrank'
import { memoryDirectory, openTensors } from 'lowrank/io'
import { attach, deleteAdapter, type LoraConfig, mergeAndUnload } from 'lowrank/lora'
import { type CausalLM, saveModel } from 'lowrank/models'
import { createModel, loadModel } from 'lowrank/models/auto'
import { describe, expect, it } from 'vitest'
import { encodeSafetensors } from '../../src/io/safetensors-writer.ts'
import { TINY, tinyLlama } from '../support/models.ts'

const TIED = { ...TINY, tie_word_embeddings: true }

const ids = (): Tensor => tensor([3, 7, 1, 9], [1, 4], { dtype: 'int32' })
const logits = (model: CausalLM): ArrayLike<number> => model.forward(ids()).dataSync()

/** A tied model with an adapter whose parameters are not what they started as. */
function adapted(config: LoraConfig): CausalLM {
  manualSeed(3)
  const model = tinyLlama({ tie_word_embeddings: true })
  attach(model, { r: 2, loraAlpha: 3, initLoraWeights: false, ...config })
  for (const parameter of model.trainable()) {
    parameter.replace(parameter.dataSync().map((value, i) => value + ((i % 5) - 2) / 4))
  }
  return model
}

async function saved(
  model: CausalLM,
  json: object = TIED,
): Promise<ReturnType<typeof memoryDirectory>> {
  const source = memoryDirectory({ 'config.json': JSON.stringify(json) })
  const out = memoryDirectory()
  await saveModel(model, out, { source })
  return out
}

async function failure(run: Promise<unknown>): Promise<LowrankError> {
  const error: unknown = await run.catch(caught => caught)
  expect(error).toBeInstanceOf(LowrankError)
  return error as LowrankError
}

describe('a merged model whose head was tied', () => {
  it.each([
    ['updates of the embedding', { targetModules: ['embed_tokens'] }],
    ['updates of the head', { targetModules: ['lm_head'] }],
    ['updates of both', { targetModules: ['embed_tokens', 'lm_head'] }],
    ['a head of its own', { targetModules: ['q_proj'], modulesToSave: ['lm_head'] }],
    ['an embedding of its own', { targetModules: ['q_proj'], modulesToSave: ['embed_tokens'] }],
  ])('is read as what it was: %s', async (_, config) => {
    const model = adapted(config)
    const before = logits(model)
    const merged = mergeAndUnload(model) as CausalLM
    const now = logits(merged)
    Array.from(now).forEach((value, i) => {
      expect(value).toBeCloseTo(before[i], 4)
    })
    const out = await saved(merged)
    const config2 = JSON.parse(new TextDecoder().decode(await out.read('config.json')))
    expect(config2.tie_word_embeddings).toBe(false)
    expect(logits(await loadModel(out))).toEqual(now)
  })

  it('stays tied where both still share one weight', async () => {
    const model = mergeAndUnload(adapted({ targetModules: ['q_proj'] })) as CausalLM
    const out = await saved(model)
    expect(JSON.parse(new TextDecoder().decode(await out.read('config.json')))).toEqual(TIED)
    const names = [...(await openTensors(out)).tensors.keys()]
    expect(names).not.toContain('lm_head.weight')
    expect(logits(await loadModel(out))).toEqual(logits(model))
  })

  it('is refused where config.json ties a head that the file has otherwise', async () => {
    const model = mergeAndUnload(adapted({ targetModules: ['lm_head'] })) as CausalLM
    const out = await saved(model)
    const weights = await out.read('model.safetensors')
    const files = { 'config.json': JSON.stringify(TIED), 'model.safetensors': weights }
    const { code, message } = await failure(loadModel(memoryDirectory(files)))
    expect(code).toBe('file')
    expect(message).toContain('"lm_head.weight" differs from "model.embed_tokens.weight"')
  })

  it('may bring the head along where it is the same', async () => {
    const model = tinyLlama({ tie_word_embeddings: true })
    const tensors = new Map(
      [...model.namedParameters(), ['lm_head.weight', model.parameters()[0]] as const].map(
        ([name, parameter]) => {
          const bytes = new Uint8Array(new Float32Array(parameter.dataSync()).buffer)
          return [name, { dtype: 'F32', shape: parameter.shape, bytes }] as const
        },
      ),
    )
    const files = {
      'config.json': JSON.stringify(TIED),
      'model.safetensors': encodeSafetensors(tensors, { format: 'pt' }),
    }
    expect(logits(await loadModel(memoryDirectory(files)))).toEqual(logits(model))
  })
})

describe('saveModel', () => {
  it.each([
    ['updates', { targetModules: ['q_proj'] }, 'model.layers.0.self_attn.q_proj'],
    ['tokens', { targetModules: [], trainableTokenIndices: [1] }, 'model.embed_tokens'],
    ['modules', { targetModules: ['q_proj'], modulesToSave: ['norm'] }, 'norm'],
  ])('refuses a model with adapters: %s', async (_, config, path) => {
    const { code, message } = await failure(saved(adapted(config)))
    expect(code).toBe('target')
    expect(message).toContain(path)
  })

  it('writes plain names once the last adapter is deleted', async () => {
    const plain = [...tinyLlama({ tie_word_embeddings: true }).namedParameters()]
    const model = adapted({
      targetModules: ['q_proj', 'lm_head'],
      modulesToSave: ['norm'],
      trainableTokenIndices: [1],
    })
    deleteAdapter(model, 'default')
    const out = await saved(model)
    const names = [...(await openTensors(out)).tensors.keys()]
    expect(names.toSorted()).toEqual(plain.map(([name]) => name).toSorted())
    expect(logits(await loadModel(out))).toEqual(logits(model))
  })
})

describe('the model type', () => {
  it.each(['constructor', 'toString', '__proto__', 'nope'])('%s is not known', type => {
    expect(() => createModel('test', { ...TINY, model_type: type })).toThrow('is not known')
  })
})

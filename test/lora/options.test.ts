// What an adapter may have beside updates of layers: whole modules, biases, single tokens, chosen blocks,
// parts of a fused layer; each its own, over a base that stays as it is.

import {
  AdamW,
  Conv1D,
  Linear,
  LowrankError,
  manualSeed,
  attach as plainAttach,
  type Tensor,
  tensor,
  trainStep,
} from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  adapterTensors,
  attach,
  deleteAdapter,
  type LoraConfig,
  type LoraModule,
  load,
  loraLayers,
  merge,
  mergeAndUnload,
  plan,
  saveAdapter,
  setAdapter,
} from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { describe, expect, it } from 'vitest'
import { holdersIn } from '../../src/lora/adapters.ts'
import { SavedModule } from '../../src/lora/saved_module.ts'
import { tinyLlama } from '../support/models.ts'

const ids = (): Tensor => tensor([3, 7, 1, 9, 7, 2], [2, 3], { dtype: 'int32' })

/** The same model every time. */
function plainModel(): CausalLM {
  manualSeed(1)
  return tinyLlama()
}

/** Two steps on one batch, so that everything that is trained moves. */
async function trained(model: CausalLM): Promise<void> {
  const optimizer = new AdamW(model.trainable(), { lr: 0.05 })
  for (let n = 0; n < 2; n++) {
    await trainStep(optimizer, () => model.loss(ids(), ids()))
  }
}

function modelOf(config: LoraConfig, adapterName = 'default', model = plainModel()): CausalLM {
  manualSeed(4)
  return attach(model, { r: 2, targetModules: ['q_proj'], ...config }, { adapterName })
}

const keys = (model: CausalLM, name = 'default'): string[] =>
  [...adapterTensors(model, name).keys()].map(key => key.replace('base_model.model.', ''))

const logits = (model: CausalLM, adapter?: string | null): ArrayLike<number> =>
  model.forward(ids(), { adapter }).dataSync()

/** The bytes of a model's own parameters. */
function baseBytes(model: CausalLM): ArrayLike<number>[] {
  const own = new Set([...adapterTensors(model, 'default').values()])
  return model
    .parameters()
    .filter(parameter => !own.has(parameter))
    .map(parameter => parameter.bits())
}

function problemOf(config: LoraConfig): string {
  try {
    modelOf(config)
  } catch (error) {
    expect(error).toBeInstanceOf(LowrankError)
    return (error as Error).message
  }
  throw new Error('expected an error')
}

/** What a fresh, trained, saved, merged, deleted part must do, whatever it is. */
async function checkPart(config: LoraConfig, expected: readonly string[]): Promise<void> {
  const plain = plainModel()
  const want = logits(plain)
  const model = modelOf(config, 'default', plain)
  expect(keys(model)).toEqual(expect.arrayContaining([...expected]))
  expect(logits(model)).toEqual(want)
  const before = baseBytes(model)
  const start = [...adapterTensors(model, 'default').values()].map(p => p.bits())
  await trained(model)
  const after = [...adapterTensors(model, 'default')]
  after.forEach(([key, parameter], i) => {
    expect(parameter.bits(), key).not.toEqual(start[i])
  })
  expect(baseBytes(model)).toEqual(before)
  expect(logits(model, null)).toEqual(want)
  const own = logits(model)
  expect(own).not.toEqual(want)
  const rows = ['default', '__base__']
  const mixed = model.forward(ids(), { adapterNames: rows }).dataSync()
  const half = mixed.length / 2
  Array.from(mixed).forEach((value, i) => {
    expect(value).toBeCloseTo(i < half ? own[i] : want[i], 5)
  })
  const files = memoryDirectory()
  await saveAdapter(model, files)
  const again = await load(plainModel(), files)
  expect(logits(again)).toEqual(own)
  mergeAndUnload(again)
  expect(loraLayers(again)).toEqual([])
  Array.from(logits(again)).forEach((value, i) => {
    expect(value).toBeCloseTo(own[i], 5)
  })
  deleteAdapter(model, 'default')
  expect(logits(model)).toEqual(want)
}

describe('an adapter with', () => {
  it('modules that it trains whole', () =>
    checkPart({ modulesToSave: ['lm_head', 'norm'] }, [
      'lm_head.weight',
      'model.layers.0.input_layernorm.weight',
      'model.norm.weight',
    ]))

  it('tokens that it trains', () =>
    checkPart({ trainableTokenIndices: [7, 2, 3] }, [
      'model.embed_tokens.token_adapter.trainable_tokens_delta',
    ]))

  it('two adapters of one module, one at a time', async () => {
    const model = modelOf({ modulesToSave: ['lm_head'] }, 'a')
    await trained(model)
    const own = logits(model, 'a')
    modelOf({ modulesToSave: ['lm_head'], r: 1 }, 'b', model)
    await trained(model)
    expect(logits(model, 'a')).toEqual(own)
    expect(logits(model, 'b')).not.toEqual(own)
    expect(() => setAdapter(model, ['a', 'b'])).toThrow(
      '"lm_head" has a version of its own in each of a, b',
    )
    const low = modelOf({ targetModules: ['lm_head'] }, 'c', model)
    Array.from(logits(low, 'a')).forEach((value, i) => {
      expect(value).toBeCloseTo(own[i], 5)
    })
  })
})

describe('ensureWeightTying', () => {
  const tying = { modulesToSave: ['embed_tokens'], ensureWeightTying: true }
  const versionsOf = (model: CausalLM, name: string): (string | undefined)[] =>
    ['model.embed_tokens', 'lm_head'].map(path => {
      const { holder } = holdersIn(model).find(found => found.path === path) ?? {}
      return holder instanceof SavedModule
        ? holder.versions.get(name)?.parameters.get('weight')?.bits().toString()
        : undefined
    })

  it('shares one copy, in a second adapter as in the first', async () => {
    manualSeed(1)
    const model = modelOf(tying, 'a', tinyLlama({ tie_word_embeddings: true }))
    modelOf(tying, 'b', model)
    await trained(model)
    const [a, b] = ['a', 'b'].map(name => versionsOf(model, name))
    expect(b[0]).toBeDefined()
    expect(b[1]).toBe(b[0])
    expect(a[1]).toBe(a[0])
    expect(a[0]).not.toBe(b[0])
  })

  it('ties nothing that the model does not tie, whatever stands around it', () => {
    const model = modelOf({ modulesToSave: ['embed_tokens', 'lm_head'] }, 'a')
    const before = logits(model, null)
    modelOf(tying, 'b', model)
    expect(versionsOf(model, 'b')[1]).toBeUndefined()
    expect(logits(model, 'b')).toEqual(before)
  })

  it('lets an adapter have tokens where another has a copy', () => {
    const model = modelOf({ modulesToSave: ['embed_tokens'] }, 'a')
    const before = logits(model, null)
    modelOf({ trainableTokenIndices: [3] }, 'b', model)
    modelOf({ modulesToSave: ['embed_tokens'] }, 'c', model)
    for (const name of ['a', 'b', 'c']) {
      expect(logits(model, name)).toEqual(before)
    }
  })
})

describe('options', () => {
  it('choose blocks', () => {
    const paths = (config: LoraConfig): string[] =>
      loraLayers(modelOf(config)).map(({ path }) => path)
    expect(paths({ layersToTransform: 1 })).toEqual(['model.layers.1.self_attn.q_proj'])
    expect(paths({ layersToTransform: [0], layersPattern: 'layers' })).toEqual([
      'model.layers.0.self_attn.q_proj',
    ])
    expect(problemOf({ layersToTransform: [7] })).toContain('no layer is left')
    expect(problemOf({ layersToTransform: [0], targetModules: '.*q_proj' })).toContain('pattern')
    expect(problemOf({ layersPattern: 'layers' })).toContain('none without layersToTransform')
  })

  it('say what is wrong', () => {
    expect(problemOf({ modulesToSave: ['nothing'] })).toContain('no module of the model ends in')
    expect(problemOf({ trainableTokenIndices: [1000] })).toContain('expected tokens in 0 … 39')
    expect(problemOf({ trainableTokenIndices: { q_proj: [1] } })).toContain(
      'has no rows for tokens',
    )
    expect(problemOf({ trainableTokenIndices: [3, 3] })).toContain('each once')
    expect(problemOf({ bias: 'some' as 'all' })).toContain('bias: expected one of none, all')
    expect(problemOf({ useDora: true, loraBias: true })).toContain('useDora')
    expect(problemOf({ targetModules: ['embed_tokens'], loraBias: true })).toContain('no bias')
  })

  it('of lowrank/lora are refused by the attach of lowrank', () => {
    const config = { r: 2, useDora: true } as LoraConfig
    expect(() => plainAttach(new Linear(4, 4), config)).toThrow('more in lowrank/lora')
    expect(() => plainAttach(new Linear(4, 4), { taskType: 'SEQ_CLS' })).toThrow('taskType')
  })

  it('are problems where one is a part of another', () => {
    const problemsOf = (config: LoraConfig): readonly string[] =>
      plan(plainModel(), { r: 2, targetModules: ['q_proj'], ...config }).problems
    expect(problemsOf({ modulesToSave: ['mlp', 'down_proj'] })).toContain(
      'modulesToSave: "model.layers.0.mlp.down_proj" is a part of "model.layers.0.mlp" ' +
        '(save one of them)',
    )
    const whole = { modulesToSave: ['embed_tokens'], trainableTokenIndices: [1] }
    expect(problemsOf(whole)).toEqual([
      'trainableTokenIndices: "model.embed_tokens" is trained whole already (modulesToSave)',
    ])
  })

  it.each(['__base__', 'a.b', '.'])('take no adapter called %s', name => {
    const model = plainModel()
    expect(() => modelOf({}, name, model)).toThrow('expected a name without dots')
    expect(loraLayers(model)).toEqual([])
  })

  it('count what they train', () => {
    const model = plainModel()
    const config = { r: 2, targetModules: ['q_proj'], modulesToSave: ['lm_head'] }
    const { trainable, problems } = plan(model, { ...config, trainableTokenIndices: [1, 2] })
    expect(problems).toEqual([])
    const attached = attach(model, { ...config, trainableTokenIndices: [1, 2] })
    expect(attached.trainable().reduce((sum, { size }) => sum + size, 0)).toBe(trainable)
  })
})

describe('LoRA-FA', () => {
  it('trains B alone', async () => {
    const model = modelOf({ useLoraFa: true })
    const states = loraLayers(model).map(({ layer }) => layer.adapters.get('default'))
    expect(model.trainable()).toEqual(states.map(state => state?.B))
    const A = states[0]?.A.bits()
    await trained(model)
    expect(states[0]?.A.bits()).toEqual(A)
  })
})

describe.each([
  ['linear', () => new Linear(5, 6)],
  ['conv1d', () => new Conv1D(5, 6)],
])('enableLora on a %s layer', (_, make) => {
  const fused = (config: LoraConfig = {}): LoraModule => {
    manualSeed(8)
    return attach(make(), { r: 2, loraAlpha: 6, enableLora: [true, false, true], ...config })
  }

  it('changes the chosen parts only, as loralib does', async () => {
    const layer = fused()
    const { A, B, r, scaling } = layer.adapters.get('default') ?? { A: undefined }
    if (!A || !B) {
      throw new Error('expected an adapter')
    }
    expect([r, scaling, A.shape, B.shape]).toEqual([4, 3, [4, 5], [6, 4]])
    const x = tensor([1, -2, 0.5, 3, 1, 2, 0, -1, 1, 4], [2, 5])
    const target = tensor(new Float32Array(12).fill(1), [2, 6])
    const base = layer.forward(x, { adapter: null }).dataSync()
    const optimizer = new AdamW(layer.trainable(), { lr: 0.1, weightDecay: 0.1 })
    const { mseLoss } = await import('lowrank')
    for (let n = 0; n < 3; n++) {
      await trainStep(optimizer, () => mseLoss(layer.forward(x), target))
    }
    const b = B.dataSync()
    b.forEach((value, i) => {
      const [part, column] = [Math.floor(Math.floor(i / 4) / 2), Math.floor((i % 4) / 2)]
      const own = (part === 0 && column === 0) || (part === 2 && column === 1)
      expect(value !== 0).toBe(own)
    })
    const y = layer.forward(x).dataSync()
    y.forEach((value, i) => {
      const part = Math.floor((i % 6) / 2)
      expect(value === base[i]).toBe(part === 1)
    })
    merge(layer)
    layer
      .forward(x)
      .dataSync()
      .forEach((value, i) => {
        expect(value).toBeCloseTo(y[i], 5)
      })
  })

  it('is an ordinary adapter in files', async () => {
    const layer = fused()
    const out = memoryDirectory()
    await saveAdapter(layer, out)
    const json = JSON.parse(Buffer.from(await out.read('adapter_config.json')).toString())
    expect([json.r, json.lora_alpha]).toEqual([4, 12])
    const loaded = await load(make(), out)
    expect(loaded.adapters.get('default')?.scaling).toBe(3)
  })

  it('must fit', () => {
    expect(() => fused({ enableLora: [true, false, true, true] })).toThrow('cannot divide into 4')
    expect(() => fused({ useDora: true })).toThrow('enableLora: expected none beside useDora')
  })
})

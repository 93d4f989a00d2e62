// Where options of an adapter go in a model: blocks by number, parameters by name, tokens and whole modules
// by the ends of paths, and what is said of those that are nowhere.

import { Linear, Module, manualSeed, type Tensor, tensor } from 'lowrank'
import { attach, type LoraConfig, loraLayers, plan, setAdapter } from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { Embedding, LayerNorm } from 'lowrank/nn'
import { describe, expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'

const ids = (): Tensor => tensor([3, 7, 1, 9, 7, 2], [2, 3], { dtype: 'int32' })

function plain(overrides: object = {}): CausalLM {
  manualSeed(1)
  return tinyLlama(overrides)
}

const pathsOf = (config: LoraConfig, model: Module = plain()): string[] => {
  const { layers, problems } = plan(model, { r: 2, ...config })
  expect(problems).toEqual([])
  return layers.map(({ path }) => path)
}
const problemsOf = (config: LoraConfig, model: Module = plain()): readonly string[] =>
  plan(model, { r: 2, targetModules: ['q_proj'], ...config }).problems

describe('targetParameters', () => {
  it('mean layers by their weights, beside the targets or alone', () => {
    expect(pathsOf({ targetParameters: ['0.mlp.up_proj.weight'] })).toEqual([
      'model.layers.0.mlp.up_proj',
    ])
    expect(
      pathsOf({ targetModules: ['1.self_attn.q_proj'], targetParameters: ['lm_head.weight'] }),
    ).toEqual(['model.layers.1.self_attn.q_proj', 'lm_head'])
  })

  it('are problems where they are the weight of no layer', () => {
    for (const name of ['nowhere.weight', 'proj.weight', 'up_proj.bias']) {
      const [problem, ...rest] = problemsOf({ targetParameters: [name] })
      expect(problem).toContain(`targetParameters: "${name}" is the weight of no layer`)
      expect(rest).toEqual([])
    }
  })
})

class Stack extends Module {
  layers: Linear[] = Array.from({ length: 12 }, () => new Linear(4, 4))
  blocks: Blocks[] = [new Blocks(), new Blocks()]

  forward(x: Tensor): Tensor {
    return this.layers[0].forward(x)
  }
}

class Blocks extends Module {
  layers: Inner[] = [new Inner(), new Inner()]

  forward(x: Tensor): Tensor {
    return this.layers[0].forward(x)
  }
}

class Inner extends Module {
  fc: Linear = new Linear(4, 4)

  forward(x: Tensor): Tensor {
    return this.fc.forward(x)
  }
}

describe('layersToTransform', () => {
  it('are numbers after the names of lists of blocks, whichever they are', () => {
    const nested = new Stack()
    const config = { targetModules: ['fc'], layersToTransform: [1] }
    expect(pathsOf({ ...config, layersPattern: 'layers' }, nested)).toEqual([
      'blocks.0.layers.1.fc',
      'blocks.1.layers.1.fc',
    ])
    expect(pathsOf({ ...config, layersPattern: ['none', 'layers'] }, nested)).toEqual([
      'blocks.0.layers.1.fc',
      'blocks.1.layers.1.fc',
    ])
    expect(problemsOf({ ...config, layersPattern: 'none' }, nested)).toEqual([
      'no layer is left to adapt (all excluded?)',
    ])
  })

  it('go with all linear layers, and leave out those in no block', () => {
    const found = pathsOf({ targetModules: 'all-linear', layersToTransform: 1 })
    expect(found.length).toBe(7)
    expect(found.every(path => path.startsWith('model.layers.1.'))).toBe(true)
    expect(pathsOf({ targetModules: ['lm_head', 'q_proj'], layersToTransform: [0] })).toEqual([
      'model.layers.0.self_attn.q_proj',
    ])
    expect(pathsOf({ targetModules: ['q_proj'], layersToTransform: [] }).length).toBe(2)
  })
})

describe('trainableTokenIndices', () => {
  it('are tokens of the table', () => {
    expect(problemsOf({ trainableTokenIndices: [0, 39] })).toEqual([])
    expect(problemsOf({ trainableTokenIndices: [-1, 40, 3] })).toEqual([
      'trainableTokenIndices: expected tokens in 0 … 39, got -1, 40',
    ])
    expect(problemsOf({ trainableTokenIndices: { nowhere: [1] } })).toEqual([
      'trainableTokenIndices: no module of the model ends in "nowhere"',
    ])
    expect(problemsOf({ trainableTokenIndices: { lm_head: [1] } })).toEqual([
      '"lm_head" is a Linear, which has no rows for tokens',
    ])
  })

  it('are each adapter’s own, one adapter at a time', () => {
    const model = plain()
    const config = { r: 2, targetModules: ['q_proj'] }
    attach(model, { ...config, trainableTokenIndices: [3] }, { adapterName: 'a' })
    attach(model, { ...config, trainableTokenIndices: [7] }, { adapterName: 'b' })
    expect(() => setAdapter(model, ['a', 'b'])).toThrow('a version of its own in each of a, b')
    setAdapter(model, 'a')
    const rows = model.trainable().filter(({ shape }) => shape[0] === 1)
    expect(rows.map(({ shape }) => shape)).toEqual([[1, 16]])
    const before = ['a', 'b'].map(adapter => model.forward(ids(), { adapter }).dataSync())
    rows[0].replace(rows[0].dataSync().map(value => value + 1))
    const after = ['a', 'b'].map(adapter => model.forward(ids(), { adapter }).dataSync())
    expect(after[0]).not.toEqual(before[0])
    expect(after[1]).toEqual(before[1])
  })

  it('have the scale of an embedding that multiplies what it gives', () => {
    const table = new Embedding(5, 4, { scale: 3 })
    class Table extends Module {
      embed_tokens: Embedding = table
      fc: Linear = new Linear(4, 4)
      forward(x: Tensor): Tensor {
        return this.fc.forward(this.embed_tokens.forward(x))
      }
    }
    const x = tensor([1, 4], [2], { dtype: 'int32' })
    const model = new Table()
    const want = model.forward(x).dataSync()
    attach(model, { r: 2, targetModules: ['fc'], trainableTokenIndices: [4] })
    expect(model.forward(x).dataSync()).toEqual(want)
  })
})

describe('ensureWeightTying', () => {
  it('is a problem beside an adapted embedding of a tied model alone', () => {
    const config = { targetModules: ['q_proj', 'embed_tokens'], ensureWeightTying: true }
    const tied = plain({ tie_word_embeddings: true })
    expect(problemsOf(config, tied)[0]).toContain('an adapted embedding cannot share its update')
    expect(problemsOf({ ...config, ensureWeightTying: false }, tied)).toEqual([])
    expect(problemsOf(config)).toEqual([])
  })

  it('counts what is shared once, also where both are named', () => {
    const count = (modulesToSave: string[], ensureWeightTying: boolean) => {
      const tied = plain({ tie_word_embeddings: true })
      const config = { r: 2, targetModules: ['q_proj'], modulesToSave, ensureWeightTying }
      return (
        plan(tied, config).trainable - plan(tied, { r: 2, targetModules: ['q_proj'] }).trainable
      )
    }
    expect(count(['embed_tokens'], true)).toBe(640)
    expect(count(['embed_tokens', 'lm_head'], true)).toBe(640)
    expect(count(['embed_tokens', 'lm_head'], false)).toBe(1280)
  })
})

describe('modulesToSave', () => {
  it('get no updates, nor what is inside of them', () => {
    const found = pathsOf({ targetModules: 'all-linear', modulesToSave: ['mlp', 'q_proj'] })
    expect(found.some(path => /mlp|q_proj/.test(path))).toBe(false)
    expect(found.length).toBe(6)
  })
})

describe('a plan', () => {
  it.each([
    { modulesToSave: ['norm', 'fc1'] },
    { bias: 'all' },
    { bias: 'lora_only' },
    { trainableTokenIndices: [1, 2] },
    { loraBias: true },
    { useDora: true },
    { useLoraFa: true },
  ] satisfies LoraConfig[])('counts what is trained: %j', config => {
    class Part extends Module {
      embed_tokens: Embedding = new Embedding(5, 4)
      fc1: Linear = new Linear(4, 4)
      fc2: Linear = new Linear(4, 3)
      norm: LayerNorm = new LayerNorm(3)

      forward(x: Tensor): Tensor {
        return this.norm.forward(this.fc2.forward(this.fc1.forward(this.embed_tokens.forward(x))))
      }
    }
    const model = new Part()
    const full = { r: 2, targetModules: ['fc2'], ...config }
    const { trainable, total } = plan(model, full)
    attach(model, full)
    const sum = (parameters: readonly { size: number }[]) =>
      parameters.reduce((count, { size }) => count + size, 0)
    expect([sum(model.trainable()), sum(model.parameters())]).toEqual([trainable, total])
  })

  it('names a dozen of the layers where a target is none', () => {
    const wide = new Stack()
    const [problem] = problemsOf({ targetModules: ['nothing_like_it'] }, wide)
    expect(problem).toContain('there are: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)')
    expect(problem).not.toContain('fc')
  })

  it('says that a name is taken', () => {
    const model = attach(plain(), { r: 2 })
    expect(problemsOf({}, model)).toEqual([
      'it has an adapter "default" already (deleteAdapter, or rename)',
    ])
  })

  it('finds layers of other adapters by their own paths, once each', () => {
    const model = attach(plain(), { r: 2, targetModules: ['q_proj'], modulesToSave: ['lm_head'] })
    const { layers, problems } = plan(
      model,
      { r: 2, targetModules: '.*q_proj|lm_head' },
      {
        adapterName: 'b',
      },
    )
    expect(problems).toEqual([])
    expect(layers.map(({ path }) => path)).toEqual([
      'model.layers.0.self_attn.q_proj',
      'model.layers.1.self_attn.q_proj',
      'lm_head',
    ])
    expect(loraLayers(model).length).toBe(2)
  })
})

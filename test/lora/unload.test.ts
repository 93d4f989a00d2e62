// What adapters leave behind: a model that computes the same without them when they are merged for good,
// the plain model when they are deleted, and no memory.

import { Linear, manualSeed, memory, type Parameter, type Tensor, tensor } from 'lowrank'
import {
  attach,
  deleteAdapter,
  type LoraConfig,
  merge,
  mergeAndUnload,
  setAdapter,
} from 'lowrank/lora'
import type { LlamaForCausalLM } from 'lowrank/models'
import { describe, expect, it } from 'vitest'
import { Holder } from '../../src/lora/holder.ts'
import { scaledError } from '../support/fixture.ts'
import { tinyLlama } from '../support/models.ts'

const ids = (): Tensor => tensor([5, 1, 3, 1], [1, 4], { dtype: 'int32' })
const valuesOf = (model: LlamaForCausalLM): ArrayLike<number> => model.forward(ids()).dataSync()

/** Makes every trained element something else, so that no version equals what it replaces. */
function moved(parameters: readonly Parameter[]): void {
  for (const [i, parameter] of parameters.entries()) {
    parameter.replace(parameter.dataSync().map((value, k) => value + 0.1 * (((i + k) % 5) - 2)))
  }
}

interface Case {
  readonly name: string
  /** Adapters in their order; the last one is unloaded. */
  readonly adapters: readonly LoraConfig[]
  readonly model?: object
  /** Whether only one of them can be active. */
  readonly apart?: boolean
}

const plain: LoraConfig = { r: 2, loraAlpha: 6, initLoraWeights: false }
const tied = { tie_word_embeddings: true }

const CASES: readonly Case[] = [
  {
    name: 'rows of an adapted embedding',
    adapters: [{ ...plain, targetModules: ['embed_tokens'], trainableTokenIndices: [1] }],
  },
  {
    name: 'rows of an adapted embedding beside a tied head',
    adapters: [{ ...plain, targetModules: ['embed_tokens'], trainableTokenIndices: [1, 5] }],
    model: tied,
  },
  {
    name: 'rows of a tied embedding',
    adapters: [{ ...plain, trainableTokenIndices: [1, 5] }],
    model: tied,
  },
  {
    name: 'a head that another adapter has updates of',
    adapters: [
      { ...plain, targetModules: ['lm_head'] },
      { ...plain, modulesToSave: ['lm_head'] },
    ],
  },
  {
    name: 'updates of a head that another adapter saves',
    adapters: [
      { ...plain, modulesToSave: ['lm_head'] },
      { ...plain, targetModules: ['lm_head'] },
    ],
  },
  {
    name: 'a block that held updates of another adapter',
    adapters: [
      { ...plain, targetModules: ['down_proj'] },
      { ...plain, modulesToSave: ['mlp'] },
    ],
  },
  {
    name: 'a layer of a block that another adapter saves',
    apart: true,
    adapters: [
      { ...plain, modulesToSave: ['mlp'] },
      { ...plain, modulesToSave: ['down_proj'] },
    ],
  },
  {
    name: 'a block that another adapter has updates in',
    adapters: [
      { ...plain, modulesToSave: ['mlp'] },
      { ...plain, targetModules: ['down_proj'] },
    ],
  },
  {
    name: 'a block, with updates of another adapter in it',
    adapters: [
      { ...plain, modulesToSave: ['mlp'] },
      { ...plain, targetModules: ['down_proj'] },
      { ...plain, targetModules: ['q_proj'] },
    ],
  },
]

function adapted({ adapters, model: options }: Case): LlamaForCausalLM {
  manualSeed(4)
  const model = tinyLlama(options)
  for (const [i, config] of adapters.entries()) {
    attach(model, config, { adapterName: `a${i}` })
    moved(model.trainable())
  }
  return model
}

/** Sums of up to 24 terms in another order, through two blocks. */
const TOLERANCE = 2e-5

describe('merging for good', () => {
  it.each(CASES)('keeps what the model computes: $name', one => {
    const names = one.adapters.map((_, i) => `a${i}`)
    for (const selection of one.apart ? names : [...names, names]) {
      const model = adapted(one)
      setAdapter(model, selection)
      const before = valuesOf(model)
      merge(model)
      const where = String(selection)
      expect(scaledError(valuesOf(model), before), where).toBeLessThanOrEqual(TOLERANCE)
      mergeAndUnload(model)
      expect(scaledError(valuesOf(model), before), where).toBeLessThanOrEqual(TOLERANCE)
      expect([...model.namedModules()].some(([, module]) => module instanceof Holder)).toBe(false)
      expect(model.trainable()).toEqual([])
    }
  })

  it('is for one of two adapters that save a module and a part of it', () => {
    const model = adapted(CASES.find(({ apart }) => apart) as Case)
    expect(() => setAdapter(model, ['a0', 'a1'])).toThrow(
      '"model.layers.0.mlp" has a version of its own in each of a0, a1 (choose one of them)',
    )
  })

  it('keeps layers shared that nothing was added to', () => {
    const model = adapted({ ...CASES[0], model: tied, adapters: [{ ...plain }] })
    attach(model, { ...plain, targetModules: ['embed_tokens'] }, { adapterName: 'b' })
    mergeAndUnload(model, { adapter: 'a0' })
    expect(model.lm_head.weight).toBe(model.model.embed_tokens.weight)
  })

  it('gives whole modules the dtype that is asked for', () => {
    const model = adapted({ name: '', adapters: [{ ...plain, modulesToSave: ['lm_head'] }] })
    mergeAndUnload(model, { dtype: 'bfloat16' })
    expect(model.lm_head.weight.dtype).toBe('bfloat16')
    expect(model.lm_head.weight.requiresGrad).toBe(false)
  })
})

describe('deleting', () => {
  it.each(CASES)('leaves the plain model: $name', one => {
    const model = adapted(one)
    manualSeed(4)
    const before = valuesOf(tinyLlama(one.model))
    for (const i of one.adapters.keys()) {
      deleteAdapter(model, `a${i}`)
    }
    expect([...model.namedModules()].some(([, module]) => module instanceof Holder)).toBe(false)
    expect(valuesOf(model)).toEqual(before)
  })
})

describe('memory', () => {
  const x = (): Tensor => tensor(new Float32Array(64), [1, 64])
  const config: LoraConfig = { r: 4, initLoraWeights: 'pissa' }

  it('of a merged layer is given back, and that of a start', () => {
    const live = (): number => memory().used
    const warm = new Linear(64, 64)
    warm.forward(x())
    warm.dispose()
    const before = live()
    for (const use of [
      (layer: Linear) => {
        const wrapped = attach(layer, config)
        merge(wrapped)
        wrapped.forward(x())
        setAdapter(wrapped, 'default')
        wrapped.forward(x())
        merge(wrapped)
        wrapped.forward(x())
        wrapped.dispose()
      },
      (layer: Linear) => {
        const wrapped = attach(layer, config)
        wrapped.forward(x())
        const merged = mergeAndUnload(wrapped)
        merged.forward(x())
        merged.dispose()
      },
    ]) {
      const layer = new Linear(64, 64)
      use(layer)
      layer.dispose()
      expect(live()).toBe(before)
    }
  })
})

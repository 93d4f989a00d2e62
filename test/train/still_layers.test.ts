// A run is not silent about adapters that do not move: each layer is named, with the reason.

import { attach, Linear, manualSeed, type Tensor } from 'lowrank'
import { type LoraState, loraLayers } from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { finetune } from 'lowrank/train'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { tinyLlama } from '../support/models.ts'
import { WordTokenizer } from '../support/words.ts'

const tokenizer = new WordTokenizer('red green blue cat dog bird')
const data = Array.from({ length: 8 }, (_, i) => ({
  prompt: ['red', 'green', 'blue'][i % 3],
  completion: ['cat', 'dog', 'bird'][i % 3],
}))

function adapted(options: object = {}, change: (model: CausalLM) => void = () => {}): CausalLM {
  manualSeed(3)
  const model = tinyLlama()
  change(model)
  return attach(model, { r: 2, targetModules: ['q_proj', 'v_proj'], ...options })
}

function stateAt(model: CausalLM, path: string): LoraState {
  const found = loraLayers(model).find(layer => layer.path === path)
  return found?.layer.adapters.get('default') as LoraState
}

async function warningsOf(model: CausalLM, options: object = {}): Promise<string[]> {
  const warnings: string[] = []
  const run = await finetune(model, {
    ...{ tokenizer, data, epochs: 4, batchSize: 8, lr: 1e-2, warmupRatio: 0 },
    ...options,
    onWarning: warning => warnings.push(warning),
  })
  expect(run.warnings).toEqual(warnings)
  return warnings
}

const Q0 = 'model.layers.0.self_attn.q_proj'
const zeros = (count: number): Float32Array => new Float32Array(count)

describe('a run in which every adapter moves', () => {
  it('warns of nothing', async () => {
    expect(await warningsOf(adapted())).toEqual([])
  })

  it('is not judged by steps whose learning rate is zero', async () => {
    expect(await warningsOf(adapted(), { epochs: 4, warmupRatio: 0.75 })).toEqual([])
  })
})

describe('an adapter that does not move', () => {
  it('is named where no forward pass reaches its layer', async () => {
    const model = adapted({ targetModules: ['q_proj', 'spare'] }, plain => {
      Object.assign(plain, { spare: new Linear(16, 16) })
    })
    expect(await warningsOf(model)).toEqual([
      'finetune: after 3 steps the adapter of "spare" has not moved: ' +
        'no forward pass reaches the layer',
    ])
  })

  it('is named where A and B are zero', async () => {
    const model = adapted()
    const { A } = stateAt(model, Q0)
    A.replace(zeros(A.size))
    const [warning] = await warningsOf(model)
    expect(warning).toContain(`"${Q0}" has not moved: A and B are both zero`)
  })

  it('is named where B is zero and frozen', async () => {
    const model = adapted()
    stateAt(model, Q0).B.freeze()
    const [warning] = await warningsOf(model)
    expect(warning).toContain(`"${Q0}" has not moved: B is zero and not trained`)
  })

  it('is named where A is zero and frozen', async () => {
    const model = adapted({ initLoraWeights: false })
    const { A } = stateAt(model, Q0)
    A.replace(zeros(A.size))
    A.freeze()
    const [warning] = await warningsOf(model)
    expect(warning).toContain(`"${Q0}" has not moved: A is zero and not trained`)
  })

  it('is named where its scaling is zero, all layers in one sentence', async () => {
    const warnings = await warningsOf(adapted({ loraAlpha: 0 }))
    expect(warnings.length).toBe(1)
    expect(warnings[0]).toContain('its scaling is 0')
    expect(warnings[0].match(/_proj"/g)?.length).toBe(4)
  })

  it('is named where dropout drops everything', async () => {
    const model = adapted({ loraDropout: 0.5 })
    Object.assign(stateAt(model, Q0), { loraDropout: 1 })
    const [warning] = await warningsOf(model)
    expect(warning).toContain(`"${Q0}" has not moved: dropout drops all of its input`)
  })

  it('is named where the loss does not depend on its layer', async () => {
    const model = adapted({ targetModules: ['q_proj', 'spare'] }, plain => {
      const spare = new Linear(16, 16)
      const { norm } = (plain as unknown as { model: { norm: { forward(x: Tensor): Tensor } } })
        .model
      const forward = norm.forward
      Object.assign(plain, { spare })
      norm.forward = x => {
        const found = plain as unknown as { spare: Linear }
        found.spare.forward(x)
        return forward(x)
      }
    })
    const [warning] = await warningsOf(model)
    expect(warning).toContain('"spare" has not moved: the loss does not depend on it')
  })

  it('is named after the last step of a run that is shorter', async () => {
    const [warning] = await warningsOf(adapted({ loraAlpha: 0 }), { epochs: 1 })
    expect(warning).toContain('after 1 steps')
  })
})

describe('without onWarning', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('a run writes its warnings to the console', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    await finetune(adapted({ loraAlpha: 0 }), { tokenizer, data, epochs: 1, warmupRatio: 0 })
    expect(warn).toHaveBeenCalledOnce()
  })
})

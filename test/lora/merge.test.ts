// Merging: what a half-precision base loses is said, what is not finite is refused.

import { Linear, manualSeed, memory, Parameter, type Tensor, tensor, withBackend } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  attach,
  deleteAdapter,
  deltaWeight,
  hotSwap,
  type LoraModule,
  load,
  merge,
  mergeAndUnload,
  mergedLayer,
  saveAdapter,
  setAdapter,
} from 'lowrank/lora'
import type { LlamaForCausalLM } from 'lowrank/models'
import { Conv2d } from 'lowrank/nn'
import { reference } from 'lowrank/reference'
import { describe, expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'

function layerOf(dtype: 'float32' | 'bfloat16', update: number): LoraModule<Linear> {
  const base = new Linear(2, 2, { bias: false })
  base.weight = new Parameter([1, 1, 1, 1], [2, 2], { dtype })
  const layer = attach(base, { r: 1, loraAlpha: 1, loraDropout: 0 })
  layer.adapters.get('default')?.A.replace([1, 1])
  layer.adapters.get('default')?.B.replace([update, update])
  return layer
}

describe('the report of merging', () => {
  it('is nothing where nothing is rounded', () => {
    expect(merge(layerOf('float32', 0.3))).toEqual([{ path: '', dtype: 'float32', rounding: 0 }])
    expect(merge(layerOf('bfloat16', 0.5))[0]?.rounding).toBe(0)
  })

  it('says which share of the update a half-precision base lost', () => {
    // The steps of bfloat16 above 1 are 2⁻⁷: an update of 2⁻⁹ is lost, of 3·2⁻⁹ rounds to 4·2⁻⁹.
    expect(merge(layerOf('bfloat16', 1 / 512))[0]?.rounding).toBe(1)
    expect(merge(layerOf('bfloat16', 3 / 512))[0]?.rounding).toBeCloseTo(1 / 3, 6)
  })
})

it('loses nothing of an update that is none', () => {
  expect(merge(layerOf('bfloat16', 0))[0]?.rounding).toBe(0)
})

describe('a merged layer', () => {
  it('has a bias where B has one and the base has none', () => {
    const layer = attach(new Linear(4, 3, { bias: false }), { r: 2, loraAlpha: 6, loraBias: true })
    const [{ A, B, bias }] = layer.states()
    for (const [i, parameter] of [A, B, bias].entries()) {
      parameter?.replace(Float32Array.from({ length: parameter.size }, (_, k) => i + k / 4))
    }
    const x = tensor([1, -2, 0.5, 3], [1, 4])
    const want = layer.forward(x).dataSync()
    const plain = mergedLayer(layer)
    expect(plain.bias?.shape).toEqual([3])
    Array.from(plain.forward(x).dataSync()).forEach((value, i) => {
      expect(value).toBeCloseTo(want[i], 4)
    })
  })

  it('is frozen, on the backend of its base, with the bits of a base that no adapter changes', () => {
    const base = withBackend(reference(), () => {
      const made = new Linear(2, 2, { bias: false })
      made.weight = new Parameter([0.1, 1, 2, 3], [2, 2], { dtype: 'bfloat16' })
      return made
    })
    const layer = attach(base, { r: 1, loraBias: true })
    const merged = mergedLayer(layer)
    expect(merged.parameters().map(({ requiresGrad }) => requiresGrad)).toEqual([false, false])
    expect(merged.parameters().every(({ backend }) => backend === base.weight.backend)).toBe(true)
    const delta = deltaWeight(layer, layer.states()[0])
    expect(delta.backend).toBe(base.weight.backend)
    const plain = mergedLayer(layer, null)
    expect(plain.weight).not.toBe(base.weight)
    expect(plain.weight.bits()).toEqual(base.weight.bits())
  })

  it('cannot be one of a convolution in groups, unless nothing is added', () => {
    const layer = attach(new Conv2d(4, 4, 1, { groups: 2 }), { r: 2 })
    const message = 'groups of a conv2d cannot be merged'
    expect(() => mergedLayer(layer)).toThrow(message)
    expect(() => deltaWeight(layer, layer.states()[0])).toThrow(message)
    expect(mergedLayer(layer, null).weight.shape).toEqual([4, 2, 1, 1])
  })
})

describe('merging for good', () => {
  it.each([
    ['tokens', { trainableTokenIndices: [3] }],
    ['modules', { modulesToSave: ['embed_tokens'], ensureWeightTying: true }],
  ])('keeps one weight where the model had one, under %s', (_, config) => {
    for (const tied of [true, false]) {
      const model = tinyLlama({ tie_word_embeddings: tied })
      attach(model, { r: 2, targetModules: ['q_proj'], ...config })
      mergeAndUnload(model)
      expect(model.model.embed_tokens.weight === model.lm_head.weight).toBe(tied)
    }
  })

  it.each([[['embed_tokens']], [['lm_head']], [['embed_tokens', 'lm_head']]])(
    'parts tied layers that %j adapts, or keeps the sum of updates for both',
    targetModules => {
      const model = (): LlamaForCausalLM => {
        manualSeed(3)
        const tied = tinyLlama({ tie_word_embeddings: true })
        return attach(tied, { r: 2, targetModules, initLoraWeights: false }) as LlamaForCausalLM
      }
      const weights = (tied: LlamaForCausalLM): Parameter[] => [
        tied.model.embed_tokens.weight,
        tied.lm_head.weight,
      ]
      const base = weights(mergeAndUnload(model(), { adapter: null }) as LlamaForCausalLM)
      const apart = weights(mergeAndUnload(model()) as LlamaForCausalLM)
      const together = weights(mergeAndUnload(model(), { keepTied: true }) as LlamaForCausalLM)
      expect(apart[0]).not.toBe(apart[1])
      expect(together[0]).toBe(together[1])
      const [W, embedded, projected, sum] = [base[0], ...apart, together[0]].map(w => w.dataSync())
      const want = W.map((value, i) => embedded[i] + projected[i] - value)
      const most = [embedded, projected].map(w => Math.max(...w.map(Math.abs)))
      // Six roundings of elements that are no larger than the largest of both layers together.
      const limit = 6 * 2 ** -24 * (most[0] + most[1])
      expect(sum.every((value, i) => Math.abs(value - want[i]) <= limit)).toBe(true)
    },
  )

  it('gives back all memory where tied layers stay tied', () => {
    const tied = (): LlamaForCausalLM => tinyLlama({ tie_word_embeddings: true })
    const used = (): number => memory().used
    const before = used()
    const plain = tied()
    const own = used() - before
    plain.dispose()
    const model = attach(tied(), { r: 2, targetModules: ['embed_tokens', 'lm_head'] })
    mergeAndUnload(model, { keepTied: true })
    expect(used() - before).toBe(own)
    model.dispose()
  })

  it('widens a base that is to be float32, whatever is added', () => {
    for (const adapter of [null, 'default']) {
      const plain = mergedLayer(layerOf('bfloat16', 0), adapter, 'float32')
      expect([...plain.weight.dataSync()]).toEqual([1, 1, 1, 1])
    }
  })

  it('takes the dtype that is asked for, also where no adapter adds', () => {
    const layer = layerOf('float32', 0.5)
    const plain = mergeAndUnload(layer, { adapter: null, dtype: 'bfloat16' }) as Linear
    expect(plain.weight.dtype).toBe('bfloat16')
  })

  it('refuses numbers that are none only where it is asked to', () => {
    const plain = mergeAndUnload(layerOf('float32', Number.NaN)) as Linear
    expect(plain.weight.dataSync().some(Number.isNaN)).toBe(true)
  })
})

describe('a safe merge', () => {
  it('that is refused gives back what it made, and keeps the base', () => {
    const layer = layerOf('float32', 1)
    layer.adapters.get('default')?.B.replace([0.5, Number.NaN])
    const x = () => layer.forward(tensor([1, 2], [1, 2]), { adapter: null }).dataSync()
    const want = x()
    const refused = () => expect(() => merge(layer, undefined, { safe: true })).toThrow('NaN')
    refused()
    const used = memory().used
    refused()
    expect(memory().used).toBe(used)
    const idle = () => mergeAndUnload(layer, { adapter: 'default', safe: true })
    expect(idle).toThrow('NaN')
    expect(x()).toEqual(want)
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %s and changes nothing', value => {
    const layer = layerOf('float32', value)
    expect(() => merge(layer, undefined, { safe: true })).toThrow('would hold NaN or infinities')
    expect(layer.merged).toBeUndefined()
    expect(() => mergeAndUnload(layer, { safe: true })).toThrow('would hold NaN')
    expect(layer.adapters.size).toBe(1)
    merge(layer)
    expect(layer.merged).toBeDefined()
  })
})

/** A layer with the adapters a and b, a in use; both change it. */
function twoAdapters(): LoraModule<Linear> {
  manualSeed(3)
  const one = { r: 2, loraAlpha: 6, initLoraWeights: false }
  const layer = attach(new Linear(4, 3), one, { adapterName: 'b' })
  return attach(layer, one, { adapterName: 'a' }) as unknown as LoraModule<Linear>
}

describe('what was merged', () => {
  const x = (): Tensor => tensor([1, -2, 0.5, 3], [1, 4])
  const valuesOf = (layer: LoraModule): unknown => layer.forward(x()).dataSync()

  it('makes way for every change of the adapters', async () => {
    const directory = memoryDirectory()
    await saveAdapter(twoAdapters(), directory, { adapterName: 'b' })
    const changes: Record<string, (layer: LoraModule<Linear>) => unknown> = {
      'another adapter': layer => setAdapter(layer, 'b'),
      none: layer => setAdapter(layer, null),
      'a deleted one': layer => deleteAdapter(layer, 'a'),
      'a fresh one': layer => attach(layer, { r: 1, initLoraWeights: false }, { adapterName: 'c' }),
      'one of a file': layer => load(layer, directory, { adapterName: 'c' }),
      'one that is swapped': layer => hotSwap(layer, directory, { adapterName: 'a' }),
    }
    for (const [name, change] of Object.entries(changes)) {
      const [merged, plain] = [twoAdapters(), twoAdapters()]
      const before = valuesOf(plain)
      merge(merged)
      await change(merged)
      manualSeed(3)
      await change(plain)
      expect(merged.merged, name).toBeUndefined()
      if (name !== 'a fresh one') {
        expect(valuesOf(merged), name).toEqual(valuesOf(plain))
      }
      expect(valuesOf(merged), name).not.toEqual(before)
    }
  })
})

describe('an adapter that does not exist', () => {
  it.each(['typo', ['a', 'typo']])('is not merged: %s', names => {
    const layer = twoAdapters()
    const message = 'there is no adapter "typo" (there are: b, a)'
    expect(() => merge(layer, names)).toThrow(message)
    expect(() => mergedLayer(layer, names)).toThrow(message)
    expect(() => mergeAndUnload(layer, { adapter: names })).toThrow(message)
    expect([...layer.adapters.keys()]).toEqual(['b', 'a'])
  })

  it('nor is one merged twice', () => {
    expect(() => mergedLayer(twoAdapters(), ['a', 'a'])).toThrow('each adapter once, got a, a')
  })
})

describe('dtypes', () => {
  it('are those of each parameter, unless one is asked for', () => {
    const base = new Linear(2, 2)
    base.weight = new Parameter([1, 1, 1, 1], [2, 2], { dtype: 'bfloat16' })
    base.bias = new Parameter([0.1, 0.2], [2])
    const before = base.bias.dataSync()
    const layer = attach(base, { r: 1 })
    const plain = mergedLayer(layer)
    expect(plain.weight.dtype).toBe('bfloat16')
    expect(plain.bias?.dtype).toBe('float32')
    expect(plain.bias?.dataSync()).toEqual(before)
    expect(mergedLayer(layer, undefined, 'float16').bias?.dtype).toBe('float16')
  })
})

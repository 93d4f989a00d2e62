// The adapter of a call is that call's alone: others before, after or between do not see it.

import { attach, manualSeed, type Tensor, tensor } from 'lowrank'
import {
  attach as attachAny,
  type LoraConfig,
  loraLayers,
  setAdapter,
  withAdapter,
  withAdapterNames,
} from 'lowrank/lora'
import { type Decoder, type LlamaForCausalLM, SequenceClassifier } from 'lowrank/models'
import { decode } from 'lowrank/train'
import { describe, expect, it } from 'vitest'
import { llamaParts } from '../../src/models/llama.ts'
import { TINY, tinyLlama } from '../support/models.ts'

const options = { r: 2, loraAlpha: 12, initLoraWeights: false, targetModules: 'all-linear' }

/** A model with the adapters a (the default) and b, both of which change it. */
function twoAdapters(): LlamaForCausalLM {
  manualSeed(7)
  const model = tinyLlama()
  attach(model, options, { adapterName: 'b' })
  return attach(model, options, { adapterName: 'a' })
}

/** The same with layers on top of the model: `all-linear` leaves them out. */
const HEADS: readonly { name: string; make: () => Decoder; config: LoraConfig }[] = [
  { name: 'lm_head', make: tinyLlama, config: { targetModules: ['lm_head'] } },
  { name: 'lm_head, saved whole', make: tinyLlama, config: { modulesToSave: ['lm_head'] } },
  { name: 'score', make: tinyClassifier, config: { targetModules: ['score'] } },
  { name: 'score, saved whole', make: tinyClassifier, config: { modulesToSave: ['score'] } },
]

function tinyClassifier(): Decoder {
  const classes = { numLabels: 3, padTokenId: 0, problemType: undefined }
  return new SequenceClassifier(llamaParts('test', TINY), classes).freeze()
}

const prompt = [5, 9, 3]
const ids = (): Tensor => tensor(prompt, [1, 3], { dtype: 'int32' })

describe('the adapter of one call', () => {
  it('is not that of the next', () => {
    const model = twoAdapters()
    const [a, b] = ['a', 'b'].map(adapter => model.forward(ids(), { adapter }).dataSync())
    expect(a).not.toEqual(b)
    expect(model.forward(ids()).dataSync()).toEqual(a)
    expect(withAdapter('b', () => model.forward(ids())).dataSync()).toEqual(b)
    expect(model.forward(ids()).dataSync()).toEqual(a)
  })

  it.each(HEADS)('reaches the layer on top: $name', ({ make, config }) => {
    manualSeed(7)
    const model = make()
    const base = model.forward(ids(), { adapter: null }).dataSync()
    for (const adapterName of ['b', 'a']) {
      attachAny(model, { ...options, targetModules: ['q_proj'], ...config }, { adapterName })
      for (const parameter of model.trainable()) {
        parameter.replace(parameter.dataSync().map((v, i) => v + (adapterName === 'a' ? 1 : i % 3)))
      }
    }
    const [a, b] = ['a', 'b'].map(adapter => model.forward(ids(), { adapter }).dataSync())
    expect(a).not.toEqual(b)
    expect(model.forward(ids()).dataSync()).toEqual(a)
    expect(withAdapter('b', () => model.forward(ids())).dataSync()).toEqual(b)
    expect(model.forward(ids(), { adapter: null }).dataSync()).toEqual(base)
    setAdapter(model, 'b')
    expect(model.forward(ids()).dataSync()).toEqual(b)
    expect(model.forward(ids(), { adapter: 'a' }).dataSync()).toEqual(a)
  })

  it('is forgotten where the call throws', () => {
    const model = twoAdapters()
    const a = model.forward(ids()).dataSync()
    const fail = (): never => {
      throw new Error('stop')
    }
    expect(() => withAdapter('b', fail)).toThrow('stop')
    expect(() => withAdapterNames(['b'], fail)).toThrow('stop')
    expect(model.forward(ids()).dataSync()).toEqual(a)
  })
})

describe('a name that no adapter has', () => {
  const message = 'there is no adapter "typo" (there are: b, a)'

  it('is an error of the call', () => {
    const model = twoAdapters()
    const [, { layer }] = loraLayers(model)
    for (const adapter of ['typo', ['a', 'typo']]) {
      expect(() => model.forward(ids(), { adapter })).toThrow(message)
      expect(() => model.loss(ids(), ids(), { adapter })).toThrow(message)
      expect(() => layer.forward(tensor(new Float32Array(16), [1, 16]), { adapter })).toThrow(
        message,
      )
    }
    expect(() => model.forward(ids(), { adapterNames: ['typo'] })).toThrow(message)
    expect(() => model.forward(ids(), { adapter: ['a', 'a'] })).toThrow('each adapter once')
  })

  it('is none where another layer has it', () => {
    const model = attach(twoAdapters(), { r: 2, targetModules: ['lm_head'] }, { adapterName: 'c' })
    expect(model.forward(ids(), { adapter: 'c' }).dataSync()).toEqual(
      model.forward(ids(), { adapter: null }).dataSync(),
    )
  })
})

describe('two streams of tokens', () => {
  async function all(stream: AsyncIterable<{ tokens: ArrayLike<number> }>): Promise<number[]> {
    const tokens: number[] = []
    for await (const next of stream) {
      tokens.push(next.tokens[0])
    }
    return tokens
  }

  it('with different adapters equal their solo runs when they are interleaved', async () => {
    const model = twoAdapters()
    const stream = (adapter: string | null) =>
      decode(model, [prompt], { maxNewTokens: 12, eosTokenIds: [], adapter })
    const solo = [await all(stream('a')), await all(stream('b')), await all(stream(null))]
    expect(new Set(solo.map(String)).size).toBe(3)
    const together = [stream('a'), stream('b'), stream(null)].map(made =>
      made[Symbol.asyncIterator](),
    )
    const found: number[][] = [[], [], []]
    for (let i = 0; i < 12; i++) {
      for (const [s, one] of together.entries()) {
        const { value } = await one.next()
        found[s].push(value.tokens[0])
      }
    }
    expect(found).toEqual(solo)
  })
})

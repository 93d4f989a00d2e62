// Classifiers on a decoder: the base of golden case models/llama_classify, and what padding, a fresh
// layer and each sort of label come to.

import { readFileSync } from 'node:fs'
import {
  attach,
  binaryCrossEntropyWithLogits,
  crossEntropy,
  mseLoss,
  setBackend,
  type Tensor,
  tensor,
} from 'lowrank'
import { type ByteSource, memoryDirectory } from 'lowrank/io'
import { loadSequenceClassifier, loadTokenClassifier } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { describe, expect, it } from 'vitest'
import { backends } from '../support/backends.ts'
import { type GoldenTensor, readSafetensors, scaledError } from '../support/fixture.ts'

const folder = new URL('../golden/models/llama_classify/', import.meta.url)
const at = (name: string): URL => new URL(name, folder)
const golden = JSON.parse(readFileSync(at('case.json'), 'utf8'))
const data = readSafetensors(at('data.safetensors'))
const get = (name: string): GoldenTensor => data.get(name) as GoldenTensor
const base = directory(at('base/'))

const ids = (values: readonly number[], shape: readonly number[]): Tensor =>
  tensor(values, shape, { dtype: 'int32' })

/** The base with other fields in config.json. */
async function baseWith(fields: object): Promise<ByteSource> {
  const changed = memoryDirectory()
  const json = JSON.parse(readFileSync(at('base/config.json'), 'utf8'))
  await changed.writeAll(
    new Map<string, string | Uint8Array>([
      ['config.json', JSON.stringify({ ...json, ...fields })],
      ['model.safetensors', new Uint8Array(readFileSync(at('base/model.safetensors')))],
    ]),
  )
  return changed
}

describe.each(backends)('a sequence classifier on $name', ({ make }) => {
  it('gives the logits that transformers gives', async () => {
    setBackend(make())
    try {
      const model = await loadSequenceClassifier(base)
      const { data: values, shape } = get('input_ids')
      const attentionMask = ids([...get('attention_mask').data], shape)
      const logits = model.forward(ids([...values], shape), { attentionMask })
      const want = get('logits_base')
      expect(logits.shape).toEqual(want.shape)
      expect(scaledError(logits.dataSync(), want.data)).toBeLessThanOrEqual(
        golden.tolerance.logits_base,
      )
    } finally {
      setBackend(undefined)
    }
  })
})

describe('sequences', () => {
  it('are judged by their last token, however much padding follows', async () => {
    const model = await loadSequenceClassifier(base)
    const alone = model.forward(ids([7, 8, 9], [1, 3])).dataSync()
    const padded = model.forward(ids([7, 8, 9, 0, 0, 5, 6, 5, 6, 5], [2, 5])).dataSync()
    expect([...padded.subarray(0, 3)]).toEqual([...alone])
  })

  it('need a padding token where there are several', async () => {
    const model = await loadSequenceClassifier(await baseWith({ pad_token_id: null }))
    expect(model.forward(ids([7, 8, 9], [1, 3])).shape).toEqual([1, 3])
    expect(() => model.forward(ids([7, 8, 9, 7], [2, 2]))).toThrow('needs the padding token')
  })
})

describe('labels of sequences', () => {
  const inputIds = (): Tensor => ids([7, 8, 9, 5], [2, 2])

  it('are classes', async () => {
    const model = await loadSequenceClassifier(base)
    const labels = ids([2, 0], [2])
    const want = crossEntropy(model.forward(inputIds()), labels).itemSync()
    expect(model.loss(inputIds(), labels).itemSync()).toBe(want)
  })

  it('are several classes at once', async () => {
    const model = await loadSequenceClassifier(base)
    const labels = tensor([1, 0, 1, 0, 0, 1], [2, 3])
    const want = binaryCrossEntropyWithLogits(model.forward(inputIds()), labels).itemSync()
    expect(model.loss(inputIds(), labels).itemSync()).toBe(want)
  })

  it('are real values', async () => {
    const source = await baseWith({ problem_type: 'regression' })
    const model = await loadSequenceClassifier(source, { numLabels: 1 })
    const labels = tensor([0.5, -1], [2])
    const [a, b] = model.forward(inputIds()).dataSync()
    const want = mseLoss(tensor([a, b], [2]), labels).itemSync()
    expect(model.loss(inputIds(), labels).itemSync()).toBe(want)
  })

  it('of an unknown sort are refused', async () => {
    const source = await baseWith({ problem_type: 'ranking' })
    await expect(loadSequenceClassifier(source)).rejects.toThrow('problem_type')
  })
})

describe('the layer on top', () => {
  it('is fresh where another number of labels is asked for', async () => {
    const model = await loadSequenceClassifier(base, { numLabels: 5 })
    expect(model.forward(ids([7, 8], [1, 2])).shape).toEqual([1, 5])
  })

  it('is missed where the file has none', async () => {
    const house = directory('examples/house/model')
    await expect(loadSequenceClassifier(house)).rejects.toThrow('missing "score.weight"')
    const model = await loadSequenceClassifier(house, { numLabels: 2 })
    expect(model.forward(ids([7, 8], [1, 2])).shape).toEqual([1, 2])
  })

  it('is no target of all-linear', async () => {
    const model = await loadSequenceClassifier(base)
    attach(model, { r: 2, targetModules: 'all-linear' })
    const adapted = model.trainable().map(({ shape }) => shape)
    expect(adapted).not.toContainEqual([3, 2])
  })
})

describe('a token classifier', () => {
  it('refuses labels that do not lie as the tokens', async () => {
    const model = await loadTokenClassifier(directory('examples/house/model'), { numLabels: 4 })
    const inputIds = ids([7, 8, 9, 7, 8, 9], [2, 3])
    expect(() => model.loss(inputIds, ids([0, 1, 2, 3, 0, 1], [3, 2]))).toThrow('loss: labels')
  })

  it('judges every token, and learns from those with a label', async () => {
    const model = await loadTokenClassifier(directory('examples/house/model'), { numLabels: 4 })
    const inputIds = ids([7, 8, 9], [1, 3])
    const logits = model.forward(inputIds)
    expect(logits.shape).toEqual([1, 3, 4])
    const want = crossEntropy(tensor(logits.dataSync().subarray(4, 8), [1, 4]), ids([3], [1]))
    const loss = model.loss(inputIds, ids([-100, 3, -100], [1, 3]))
    expect(loss.itemSync()).toBe(want.itemSync())
  })
})

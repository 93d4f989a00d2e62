// The loss of a language model looks at labels that lie as the tokens do, and at no others. How many tokens
// a model takes, and which of them is padding.

import { Linear, LowrankError, type Tensor, tensor } from 'lowrank'
import { describe, expect, it } from 'vitest'
import { resizeTokenEmbeddings } from '../../src/models/index.ts'
import { tinyLlama } from '../support/models.ts'

describe('loss of a language model', () => {
  it.each([[[2, 3]], [[1, 8]], [[4, 2]], [[8]]])('refuses labels %j for tokens [2, 4]', shape => {
    const model = tinyLlama()
    const int32 = { dtype: 'int32' } as const
    const ids = tensor(new Int32Array(8).fill(3), [2, 4], int32)
    const count = shape.reduce((size, n) => size * n, 1)
    const labels = tensor(new Int32Array(count).fill(3), shape, int32)
    const run = (): unknown => model.loss(ids, labels)
    expect(run).toThrow(LowrankError)
    expect(run).toThrow('loss: labels')
  })

  const ids = (values: number[]): Tensor => tensor(values, [1, 3], { dtype: 'int32' })

  it.each([true, false])('refuses labels beyond the head (with a bias: %s)', bias => {
    const model = tinyLlama()
    const { outFeatures, inFeatures } = model.lm_head
    model.replaceMember('lm_head', new Linear(inFeatures, outFeatures, { bias }))
    const loss = (label: number): Tensor => model.loss(ids([1, 2, 3]), ids([0, 1, label]))
    expect(loss(outFeatures - 1).shape).toEqual([])
    expect(() => loss(outFeatures)).toThrow(`classes from 0 to ${outFeatures - 1}`)
    expect(() => loss(-1)).toThrow('loss: labels')
  })

  it('refuses a head of another width', () => {
    const model = tinyLlama()
    model.replaceMember('lm_head', new Linear(model.lm_head.inFeatures + 1, 4, { bias: false }))
    expect(() => model.loss(ids([1, 2, 3]), ids([1, 2, 3]))).toThrow('loss: head: expected [V, C]')
  })
})

describe('the positions of a Llama', () => {
  const positions = (rope_parameters: object): number =>
    tinyLlama({ rope_parameters }).sizes.maxPositionEmbeddings
  const long = { short_factor: [1, 1], long_factor: [2, 2], original_max_position_embeddings: 16 }

  it.each([
    [{ rope_type: 'default' }, 32],
    [{ rope_type: 'linear', factor: 4 }, 128],
    [{ rope_type: 'dynamic', factor: 2.5 }, 80],
    [{ rope_type: 'yarn', factor: 4 }, 128],
    [{ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 }, 64],
    [{ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 8 }, 32],
    [{ rope_type: 'longrope', ...long }, 32],
    [{ rope_type: 'longrope', ...long, factor: 4 }, 64],
  ])('are stretched by the factor of %j', (rope, want) => {
    expect(positions(rope)).toBe(want)
  })

  it('end there', () => {
    const model = tinyLlama({ rope_parameters: { rope_type: 'dynamic', factor: 2 } })
    const ids = (T: number): Tensor => tensor(new Int32Array(T), [1, T], { dtype: 'int32' })
    expect(model.forward(ids(64)).shape).toEqual([1, 64, 40])
    expect(() => model.forward(ids(65))).toThrow('65 tokens are more than the 64 positions')
  })
})

describe('the padding token of a Llama', () => {
  const padding = (overrides: object): number | undefined =>
    tinyLlama(overrides).model.embed_tokens.paddingIdx

  it.each([
    [undefined, undefined],
    [null, undefined],
    [0, 0],
    [39, 39],
    [-1, 39],
    [40, undefined],
    [-41, undefined],
  ])('%j of config.json is row %j of the embedding', (pad_token_id, row) => {
    expect(padding({ pad_token_id })).toBe(row)
  })

  it('stays where the vocabulary is resized, while there is such a row', () => {
    const model = tinyLlama({ pad_token_id: 39 })
    resizeTokenEmbeddings(model, 50)
    expect(model.model.embed_tokens.paddingIdx).toBe(39)
    expect(model.sameShape().model.embed_tokens.paddingIdx).toBe(39)
    resizeTokenEmbeddings(model, 39)
    expect(model.model.embed_tokens.paddingIdx).toBeUndefined()
    expect(model.sameShape().model.embed_tokens.paddingIdx).toBeUndefined()
  })
})

// A vocabulary of another size: old rows keep their bits, new ones are the mean, tied layers stay tied,
// and what is saved can be read again.

import { attach, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { type CausalLM, resizeTokenEmbeddings, saveModel } from 'lowrank/models'
import { loadModel } from 'lowrank/models/auto'
import { describe, expect, it } from 'vitest'
import { TINY, tinyLlama } from '../support/models.ts'

const C = TINY.hidden_size
const V = TINY.vocab_size

function tablesOf(model: CausalLM): Float32Array[] {
  const at = new Map(model.namedParameters())
  return ['model.embed_tokens.weight', 'lm_head.weight'].flatMap(name => {
    return at.get(name)?.dataSync() ?? []
  }) as Float32Array[]
}

describe('resizeTokenEmbeddings', () => {
  it.each([V + 3, V - 5, V])('keeps the rows that stay: %i', size => {
    const model = tinyLlama()
    const before = tablesOf(model)
    resizeTokenEmbeddings(model, size)
    const kept = Math.min(size, V) * C
    tablesOf(model).forEach((table, i) => {
      expect(table.length).toBe(size * C)
      expect([...table.subarray(0, kept)]).toEqual([...before[i].subarray(0, kept)])
    })
    const logits = model.forward(tensor([1, 2], [1, 2], { dtype: 'int32' }))
    expect(logits.shape).toEqual([1, 2, size])
    expect([model.sizes.vocabSize, model.originalVocabSize]).toEqual([size, V])
  })

  it('starts new rows as the mean of the old ones', () => {
    const model = tinyLlama()
    const before = tablesOf(model)
    resizeTokenEmbeddings(model, V + 2)
    tablesOf(model).forEach((table, i) => {
      for (let c = 0; c < C; c++) {
        let sum = 0
        for (let v = 0; v < V; v++) {
          sum += before[i][v * C + c]
        }
        // The sum of V rounded terms, in f64, then rounded once to f32.
        expect(table[(V + 1) * C + c]).toBeCloseTo(sum / V, 6)
      }
    })
  })

  it('keeps tied layers tied', () => {
    const model = tinyLlama({ tie_word_embeddings: true })
    resizeTokenEmbeddings(model, V + 1)
    expect(model.lm_head.weight).toBe(model.model.embed_tokens.weight)
    expect(tablesOf(model).length).toBe(1)
  })

  it('refuses sizes that are none, and adapted layers', () => {
    const model = tinyLlama()
    expect(() => resizeTokenEmbeddings(model, 1.5)).toThrow('whole number')
    attach(model, { r: 2, targetModules: ['lm_head'] })
    expect(() => resizeTokenEmbeddings(model, V + 1)).toThrow('plain embedding and head')
  })

  it('says the size in the file that is saved', async () => {
    const model = tinyLlama()
    const source = memoryDirectory()
    await source.writeAll(new Map([['config.json', JSON.stringify(TINY)]]))
    resizeTokenEmbeddings(model, V + 3)
    const saved = memoryDirectory()
    await saveModel(model, saved, { source })
    const read = await loadModel(saved)
    expect(read.sizes.vocabSize).toBe(V + 3)
    expect(tablesOf(read)).toEqual(tablesOf(model))
  })
})

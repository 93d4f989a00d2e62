// Greedy decoding against transformers (golden family `generate`, cases over llama_list): sequences
// must agree exactly, logits within their tolerance until the end of a row.

import { setBackend } from 'lowrank'
import { load } from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { decode } from 'lowrank/train'
import { describe, expect, it } from 'vitest'
import { backends } from '../support/backends.ts'
import { type GoldenCase, type GoldenTensor, goldenCases, scaledError } from '../support/fixture.ts'

const folder = new URL('../golden/models/llama_list/', import.meta.url)
const cases = goldenCases('generate').filter(({ json }) => json.kind === 'greedy')

function promptsOf({ tensors }: GoldenCase): number[][] {
  const ids = tensors.get('input_ids') as GoldenTensor
  const mask = (tensors.get('attention_mask') as GoldenTensor).data
  const [rows, columns] = ids.shape
  return Array.from({ length: rows }, (_, row) =>
    [...ids.data.subarray(row * columns, (row + 1) * columns)].filter(
      (_, column) => mask[row * columns + column] === 1,
    ),
  )
}

async function check(
  golden: GoldenCase,
  model: CausalLM,
  adapter: 'base' | 'adapter',
): Promise<void> {
  const { json, tensors } = golden
  const want = tensors.get(`${adapter}.sequences`) as GoldenTensor
  const logits = tensors.get(`${adapter}.logits`) as GoldenTensor
  const [rows, steps, V] = logits.shape
  const columns = want.shape[1] - steps
  const eosTokenIds = json.eos_token_id === null ? [] : [json.eos_token_id].flat()
  let step = 0
  for await (const { tokens, logits: got } of decode(model, promptsOf(golden), {
    maxNewTokens: json.max_new_tokens,
    eosTokenIds,
    padTokenId: json.pad_token_id,
    repetitionPenalty: json.repetition_penalty ?? 1,
    adapter: adapter === 'base' ? null : 'default',
  })) {
    for (let row = 0; row < rows; row++) {
      if (tokens[row] < 0) {
        continue
      }
      expect(tokens[row], `row ${row}, step ${step}`).toBe(
        want.data[row * want.shape[1] + columns + step],
      )
      const at = (row * steps + step) * V
      const error = scaledError(
        got.subarray(row * V, (row + 1) * V),
        logits.data.subarray(at, at + V),
      )
      expect(error).toBeLessThanOrEqual(json.tolerance.logits)
    }
    step++
  }
  expect(step).toBe(Math.max(...json.new_tokens[adapter]))
}

describe.each(backends)('greedy decoding on $name', ({ make }) => {
  it.each(cases)('$name', async golden => {
    setBackend(make())
    try {
      const model = await loadModel(directory(new URL('base/', folder)))
      await load(model, directory(new URL('adapter/', folder)))
      await check(golden, model, 'base')
      await check(golden, model, 'adapter')
    } finally {
      setBackend(undefined)
    }
  })
})

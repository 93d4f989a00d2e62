// Adapters of models with another vocabulary, whose files carry embedding and output layer under the names
// that PEFT's wrappers have; the golden cases `llama_resized*` have PEFT's files.

import { manualSeed, tensor } from 'lowrank'
import { encodeSafetensors, memoryDirectory, parseSafetensors } from 'lowrank/io'
import { attach, deleteAdapter, type LoraConfig, load, saveAdapter } from 'lowrank/lora'
import { type LlamaForCausalLM, resizeTokenEmbeddings } from 'lowrank/models'
import { expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'

/** The same model every time, with two more tokens. */
function resized(tied: boolean): LlamaForCausalLM {
  manualSeed(5)
  const model = tinyLlama({ tie_word_embeddings: tied })
  resizeTokenEmbeddings(model, 42)
  return model
}

function outputs(model: LlamaForCausalLM): number[] {
  const ids = tensor([41, 3, 40, 5], [1, 4], { dtype: 'int32' })
  return [...model.forward(ids).dataSync()]
}

/** A model whose adapter is no start any more, in a directory. */
async function saved(tied: boolean, config: LoraConfig) {
  const model = attach(resized(tied), { r: 2, initLoraWeights: false, ...config })
  for (const [i, parameter] of model.trainable().entries()) {
    parameter.replace(parameter.dataSync().map((value, k) => value + 0.1 * ((i + k) % 3)))
  }
  const directory = memoryDirectory()
  await saveAdapter(model, directory)
  return { model, directory }
}

const CONFIGS: readonly [string, LoraConfig][] = [
  ['updates', { targetModules: ['q_proj'] }],
  ['tokens', { targetModules: ['q_proj'], trainableTokenIndices: [40, 3] }],
  ['an adapted embedding', { targetModules: ['embed_tokens'] }],
  ['a saved head', { targetModules: ['q_proj'], modulesToSave: ['lm_head'] }],
]

for (const tied of [false, true]) {
  for (const [name, config] of CONFIGS) {
    it(`comes back with ${name}, ${tied ? 'tied' : 'not tied'}, and goes without a trace`, async () => {
      const { model, directory } = await saved(tied, config)
      const again = resized(tied)
      const plain = outputs(again)
      await load(again, directory)
      expect(outputs(again)).toEqual(outputs(model))
      const second = memoryDirectory()
      await saveAdapter(again, second)
      const file = 'adapter_model.safetensors'
      expect(await second.read(file)).toEqual(await directory.read(file))
      deleteAdapter(again, 'default')
      expect(outputs(again)).toEqual(plain)
    })
  }
}

it('reads what PEFT leaves of the wrapper around a layer that is saved whole', async () => {
  const { model, directory } = await saved(false, CONFIGS[3][1])
  const file = 'adapter_model.safetensors'
  const { tensors } = parseSafetensors(await directory.read(file))
  const head = tensors.get('base_model.model.lm_head.weight')
  if (!head) {
    throw new Error('the file has no head')
  }
  const wrapped = [
    ...tensors,
    ['base_model.model.lm_head.modules_to_save.weight', head] as const,
    ['base_model.model.lm_head.original_module.weight', head] as const,
  ]
  const bytes = encodeSafetensors(new Map(wrapped), { format: 'pt' })
  await directory.writeAll(new Map([[file, bytes]]), { overwrite: true })
  const again = resized(false)
  await load(again, directory)
  expect(outputs(again)).toEqual(outputs(model))
})

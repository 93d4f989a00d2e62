// Trains a small model and prints a hash of its adapter: run in several runtimes, which must agree.
// Imports the built package by path, as a runtime without the project's settings would.

const { attach, manualSeed } = await import('../../dist/index.js')
const { LlamaForCausalLM, readLlamaConfig } = await import('../../dist/models/index.js')
const { finetune } = await import('../../dist/train/index.js')
const { saveAdapter } = await import('../../dist/lora/index.js')
const { memoryDirectory } = await import('../../dist/io/index.js')

const config = readLlamaConfig('bits', {
  vocab_size: 64,
  hidden_size: 48,
  intermediate_size: 80,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
})

const tokenizer = {
  eosTokenId: 2,
  encode: text => [...text].map(letter => 3 + (letter.charCodeAt(0) % 60)),
  decode: ids => String(ids),
}

manualSeed(5)
const model = attach(new LlamaForCausalLM(config), {
  r: 4,
  targetModules: 'all-linear',
  loraDropout: 0.1,
})
const data = Array.from({ length: 24 }, (_, i) => ({
  prompt: `number ${i * 37}`,
  completion: `is ${i % 7}${i % 3}`,
}))
const run = await finetune(model, { tokenizer, data, epochs: 4, batchSize: 5, lr: 1e-2, seed: 9 })
const files = memoryDirectory()
await saveAdapter(model, files)
const bytes = await files.read('adapter_model.safetensors')
const digest = await crypto.subtle.digest('SHA-256', bytes)
const hex = [...new Uint8Array(digest)].map(byte => byte.toString(16).padStart(2, '0')).join('')
console.log(JSON.stringify({ hash: hex, loss: run.losses.at(-1) }))

// Small models for tests, with random weights.

import { LlamaForCausalLM, readLlamaConfig } from '../../src/models/llama.ts'

export const TINY = {
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 32,
  eos_token_id: 2,
} as const

/** A Llama with two layers of width 16. */
export function tinyLlama(overrides: object = {}): LlamaForCausalLM {
  const model = new LlamaForCausalLM(readLlamaConfig('test', { ...TINY, ...overrides }))
  return model.freeze()
}

// The public names of `lowrank/models`, and no code.

export {
  CausalLM,
  DecoderCache,
  type DecoderSizes,
  type ForwardOptions,
  IGNORE_INDEX,
} from './causal_lm.ts'
export { type LlamaConfig, LlamaForCausalLM, readLlamaConfig } from './llama.ts'
export { type SaveModelOptions, saveModel } from './save.ts'

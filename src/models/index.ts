// The public names of `lowrank/models`, and no code.

export { CausalLM, IGNORE_INDEX } from './causal_lm.ts'
export {
  type ClassifierConfig,
  type ProblemType,
  SequenceClassifier,
  TokenClassifier,
} from './classifier.ts'
export {
  Decoder,
  type DecoderParts,
  type DecoderSizes,
  type ForwardOptions,
} from './decoder.ts'
export { DecoderCache } from './decoder_cache.ts'
export { type LlamaConfig, LlamaForCausalLM, readLlamaConfig } from './llama.ts'
export { resizeTokenEmbeddings } from './resize.ts'
export { type SaveModelOptions, saveModel } from './save.ts'

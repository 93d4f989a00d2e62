// The public names of `lowrank/nn`, and no code.

export { type Adaptable, type FactorShapes, isAdaptable } from './adaptable.ts'
export { Conv1D } from './conv1d.ts'
export { Conv2d, type Conv2dModuleOptions, type PaddingMode } from './conv2d.ts'
export { Embedding, type EmbeddingModuleOptions } from './embedding.ts'
export { type CachedKeys, KVCache, type KVCacheSizes } from './kv_cache.ts'
export { Linear, type LinearOptions } from './linear.ts'
export { type Member, Module } from './module.ts'
export { LayerNorm, type NormOptions, RMSNorm } from './norm.ts'
export {
  type RopeConfig,
  RopeTables,
  type RopeType,
  readRopeConfig,
  ropeFrequencies,
} from './rope_tables.ts'

// The public names of `lowrank/lora`, and no code.

export { type AdapterSelection, BASE_NAME, withAdapter, withAdapterNames } from './active.ts'
export {
  adapterConfigs,
  adapterNames,
  deleteAdapter,
  disableAdapters,
  type LoraLayer,
  loraLayers,
  setAdapter,
} from './adapters.ts'
export type { Attached, AttachOptions } from './attach.ts'
export type { CombinationType, CombineOptions } from './combine/index.ts'
export { type CombineModelOptions, combine, combineFiles } from './combine/model.ts'
export { attach, plan } from './complete.ts'
export {
  type LoraConfig,
  type PlainLoraConfig,
  type ResolvedConfig,
  scalingOf,
} from './config.ts'
export type { Extension, OptionCheck } from './extension.ts'
export { EXTENSIONS } from './extensions.ts'
export { convertToLora } from './files/convert.ts'
export { exportGguf, type GgufOptions } from './files/gguf.ts'
export { type HotSwapOptions, hotSwap, padRanks } from './files/hot_swap.ts'
export { exportMlx } from './files/mlx.ts'
export { importMlx } from './files/mlx_import.ts'
export {
  type LoadAdapterOptions,
  load,
  type SaveAdapterOptions,
  saveAdapter,
} from './files/peft.ts'
export { adapterTensors } from './files/peft_tensors.ts'
export { exportPortable, SERVER_RANKS } from './files/portable.ts'
export {
  type BaseIdentity,
  baseIdentity,
  baseWarnings,
  type Provenance,
  saveProvenance,
} from './files/provenance.ts'
export type { EvaOptions } from './init/eva.ts'
export { type AttachEvaOptions, attachEva } from './init/eva_attach.ts'
export {
  type MergeAndUnloadOptions,
  type MergedReport,
  type MergeOptions,
  merge,
  mergeAndUnload,
  unmerge,
} from './merge.ts'
export { deltaWeight, mergedLayer } from './merged.ts'
export { type LoraCall, LoraModule } from './module.ts'
export { onCpu } from './on_cpu.ts'
export type { Plan, PlannedLayer } from './plan.ts'
export type { LoraState } from './state.ts'
export { ALL_LINEAR, DEFAULT_TARGETS } from './targets.ts'
export type { Variant, VariantCall } from './variant.ts'

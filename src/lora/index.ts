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
export { type Attached, type AttachOptions, attach } from './attach.ts'
export { type LoraConfig, type ResolvedConfig, scalingOf } from './config.ts'
export {
  adapterTensors,
  type LoadAdapterOptions,
  load,
  type SaveAdapterOptions,
  saveAdapter,
} from './files/peft.ts'
export { LoraLinear, type LoraState } from './linear.ts'
export { type MergeAndUnloadOptions, merge, mergeAndUnload, unmerge } from './merge.ts'
export { type Plan, type PlannedLayer, plan } from './plan.ts'
export { ALL_LINEAR, DEFAULT_TARGETS } from './targets.ts'

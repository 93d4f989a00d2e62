// Folding adapters into plain weights: W' = W + Σ s·B·A. The base is kept, so that unmerging gives
// its bytes back exactly; `mergeAndUnload` is for those who will not.

import type { DType } from '../core/dtype.ts'
import type { Parameter } from '../core/parameter.ts'
import type { Module } from '../nn/module.ts'
import { type AdapterSelection, namesOf } from './active.ts'
import { adapterConfigs, loraLayers } from './adapters.ts'
import { Holder } from './holder.ts'
import { mergedLayer } from './merged.ts'
import { LoraModule } from './module.ts'

/**
 * Computes W + Σ s·B·A once for every wrapped layer; calls that name no adapter use it from then on.
 * The base stays beside it: `unmerge` restores it bit for bit.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { merge, unmerge } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(4, 4), { r: 2 })
 * merge(layer)
 * unmerge(layer)
 * console.log(layer.merged) // undefined
 * ```
 */
export function merge(model: Module, selection?: AdapterSelection): void {
  for (const { layer } of loraLayers(model)) {
    layer.merged?.dispose()
    layer.merged = mergedLayer(layer, selection)
  }
}

/** Goes back to the base and its adapters. */
export function unmerge(model: Module): void {
  for (const { layer } of loraLayers(model)) {
    layer.merged?.dispose()
    layer.merged = undefined
  }
}

export interface MergeAndUnloadOptions {
  readonly adapter?: AdapterSelection
  /** The dtype of the merged weights; that of each base weight if absent. */
  readonly dtype?: DType
}

/** Whole modules and rows that adapters have become the model's. */
function unloadHolders(
  model: Module,
  selection: AdapterSelection,
  put: (place: string, plain: Module) => void,
): void {
  const weights = new Map<Parameter, Parameter>()
  const isHolder = (module: Module): module is Holder => module instanceof Holder
  for (;;) {
    const [place, holder] = [...model.namedModules()].find(([, module]) => isHolder(module)) ?? []
    if (place === undefined || !(holder instanceof Holder) || !holder.unloaded) {
      return
    }
    const names = namesOf(selection) ?? holder.active
    const name = names.findLast(name => holder.names().includes(name))
    put(place, holder.unloaded(name, weights))
  }
}

/**
 * Replaces every wrapper by an ordinary layer with the merged weight and frees base and adapters.
 * Returns the model; for a single wrapped layer, the plain one.
 */
export function mergeAndUnload(model: Module, options: MergeAndUnloadOptions = {}): Module {
  let result = model
  const before = model.parameters()
  const put = (place: string, plain: Module): void => {
    const owner = model.ownerOf(place)
    owner?.[0].replaceMember(owner[1], plain)
    result = owner ? model : plain
  }
  for (const [place, layer] of [...model.namedModules()]) {
    if (layer instanceof LoraModule) {
      layer.merged?.dispose()
      put(place, mergedLayer(layer, options.adapter, options.dtype))
    }
  }
  unloadHolders(result, options.adapter, put)
  // A weight that another layer shares (a tied head) is still in use.
  const inUse = new Set(result.parameters())
  for (const parameter of before) {
    if (!inUse.has(parameter)) {
      parameter.dispose()
    }
  }
  adapterConfigs(model).clear()
  return result
}

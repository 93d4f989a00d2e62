// Folding adapters into plain weights: W' = W + Σ s·B·A. The base is kept, so that unmerging gives
// its bytes back exactly; `mergeAndUnload` is for those who will not.

import type { DType } from '../core/dtype.ts'
import type { Module } from '../nn/module.ts'
import type { AdapterSelection } from './active.ts'
import { adapterConfigs, loraLayers } from './adapters.ts'
import { mergedLayer } from './merged.ts'

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

/**
 * Replaces every wrapper by an ordinary layer with the merged weight and frees base and adapters.
 * Returns the model; for a single wrapped layer, the plain one.
 */
export function mergeAndUnload(model: Module, options: MergeAndUnloadOptions = {}): Module {
  let result = model
  const before = model.parameters()
  for (const { path, layer } of loraLayers(model)) {
    const plain = mergedLayer(layer, options.adapter, options.dtype)
    layer.merged?.dispose()
    const owner = model.ownerOf(path)
    if (owner) {
      owner[0].replaceMember(owner[1], plain)
    } else {
      result = plain
    }
  }
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

// The adapters of a model: which there are, which one a call uses by default, how one is taken away.

import type { Module } from '../nn/module.ts'
import { type AdapterSelection, namesOf, withAdapter } from './active.ts'
import type { ResolvedConfig } from './config.ts'
import { checkAdapters, LoraModule } from './module.ts'
import { stateParameters, trainedParameters } from './state.ts'

/** A wrapped layer and where it is. */
export interface LoraLayer {
  readonly path: string
  readonly layer: LoraModule
}

/** All layers with adapters, in the order of the model. */
export function loraLayers(model: Module): LoraLayer[] {
  const found: LoraLayer[] = []
  for (const [path, layer] of model.namedModules()) {
    if (layer instanceof LoraModule) {
      found.push({ path, layer })
    }
  }
  return found
}

const configs: WeakMap<Module, Map<string, ResolvedConfig>> = new WeakMap()

/** The configurations a model's adapters were made with, by adapter name. */
export function adapterConfigs(model: Module): Map<string, ResolvedConfig> {
  let known = configs.get(model)
  if (!known) {
    known = new Map()
    configs.set(model, known)
  }
  return known
}

/** The names of all adapters on a model. */
export function adapterNames(model: Module): string[] {
  return [...new Set(loraLayers(model).flatMap(({ layer }) => [...layer.adapters.keys()]))]
}

/**
 * Makes one or several adapters the default of every call, and the only ones that are trained;
 * `null` turns all off. Throws a `target` error for a name that does not exist.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { setAdapter } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(4, 4), { r: 2 })
 * setAdapter(layer, null)
 * console.log(layer.trainable().length) // 0
 * ```
 */
export function setAdapter(model: Module, selection: AdapterSelection): void {
  const layers = loraLayers(model).map(({ layer }) => layer)
  const names = namesOf(selection) ?? []
  checkAdapters('lora.setAdapter', layers, names)
  for (const layer of layers) {
    layer.active = names.filter(name => layer.adapters.has(name))
    for (const [name, state] of layer.adapters) {
      for (const parameter of trainedParameters(state)) {
        if (names.includes(name)) {
          parameter.unfreeze()
        } else {
          parameter.freeze()
        }
      }
    }
  }
}

/** Runs `fn` with the base alone, whatever the default adapter is. */
export function disableAdapters<T>(fn: () => T): T {
  return withAdapter(null, fn)
}

/** Takes an adapter off every layer and gives its memory back; the others are untouched. */
export function deleteAdapter(model: Module, name: string): void {
  const layers = loraLayers(model).map(({ layer }) => layer)
  checkAdapters('lora.deleteAdapter', layers, [name])
  for (const layer of layers) {
    const state = layer.adapters.get(name)
    layer.adapters.delete(name)
    layer.active = layer.active.filter(active => active !== name)
    for (const parameter of state ? stateParameters(state) : []) {
      parameter.dispose()
    }
  }
  adapterConfigs(model).delete(name)
}

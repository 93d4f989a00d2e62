// The adapters of a model: which there are, which one a call uses by default, how one is taken away.

import { throwAll } from '../core/errors.ts'
import type { Module } from '../nn/module.ts'
import { type AdapterSelection, namesOf, withAdapter as withChosen } from './active.ts'
import type { ResolvedConfig } from './config.ts'
import { Holder } from './holder.ts'
import { checkAdapters, LoraModule } from './module.ts'

/** A wrapped layer and where it is. */
export interface LoraLayer {
  readonly path: string
  readonly layer: LoraModule
}

/** A module that holds something of adapters, and where it is. */
export interface PlacedHolder {
  readonly path: string
  readonly holder: Holder
}

/** A path as it is in the model without adapters. */
export function plainPath(path: string): string {
  const wrappers = ['base_layer', 'original_module']
  return path
    .split('.')
    .filter(name => !wrappers.includes(name))
    .join('.')
}

/** All modules that hold something of adapters, in the order of the model. */
export function holdersIn(model: Module): PlacedHolder[] {
  return [...model.namedModules()].flatMap(([path, holder]) =>
    holder instanceof Holder ? { path: plainPath(path), holder } : [],
  )
}

/** All layers with low-rank updates, in the order of the model. */
export function loraLayers(model: Module): LoraLayer[] {
  return holdersIn(model).flatMap(({ path, holder: layer }) =>
    layer instanceof LoraModule ? { path, layer } : [],
  )
}

const configs: WeakMap<Module, Map<string, ResolvedConfig>> = new WeakMap()

/** The configurations a model's adapters were made with, by adapter name. */
export function adapterConfigs(model: Module): Map<string, ResolvedConfig> {
  const known = configs.get(model) ?? new Map()
  configs.set(model, known)
  return known
}

/** The names of all adapters on a model. */
export function adapterNames(model: Module): string[] {
  return [...new Set(holdersIn(model).flatMap(({ holder }) => holder.names()))]
}

/**
 * Makes one or several adapters the default of every call, and the only ones that are trained;
 * `null` turns all off. What was merged is unmerged. Throws a `target` error for a name that does
 * not exist.
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
  const holders = holdersIn(model)
  const names = namesOf(selection) ?? []
  checkModel('lora.setAdapter', model, names)
  throwAll('target', 'lora.setAdapter', clashes(holders, names))
  activate(model, names)
}

/** Throws a `target` error unless a model has every adapter that is named. */
export function checkModel(where: string, model: Module, names: readonly string[]): void {
  checkAdapters(
    where,
    holdersIn(model).map(({ holder }) => holder),
    names,
  )
}

/** `setAdapter` for names that are known to be right. */
export function activate(model: Module, names: readonly string[]): void {
  for (const { holder } of holdersIn(model)) {
    const own = holder.names()
    holder.unmerge()
    holder.active = names.filter(name => own.includes(name))
    for (const name of own) {
      for (const parameter of holder.parametersOf(name).trained) {
        if (names.includes(name)) {
          parameter.unfreeze()
        } else {
          parameter.freeze()
        }
      }
    }
  }
}

/** Modules that two of the adapters want for themselves, or one of them and another a part. */
function clashes(holders: readonly PlacedHolder[], names: readonly string[]): string[] {
  const exclusive = holders.filter(({ holder }) => holder.exclusive)
  return exclusive.flatMap(({ path, holder }) => {
    const all = exclusive
      .filter(other => other.holder === holder || other.path.startsWith(`${path}.`))
      .flatMap(other => other.holder.names())
    const own = names.filter(name => all.includes(name))
    return own.length > 1 && own.some(name => holder.names().includes(name))
      ? `"${path}" has a version of its own in each of ${own.join(', ')} (choose one of them)`
      : []
  })
}

/** Runs `fn` with the base alone, whatever the default adapter is. */
export function disableAdapters<T>(fn: () => T): T {
  return withChosen(null, fn)
}

/** Takes away what stands in the place of a module and holds nothing any more, the inner ones first. */
function dropEmpty(model: Module): void {
  for (const [place, holder] of [...model.namedModules()].reverse()) {
    if (holder instanceof Holder && holder.names().length === 0) {
      const owner = model.ownerOf(place)
      owner?.[0].replaceMember(owner[1], holder.inner)
    }
  }
}

/**
 * Takes an adapter off every layer and gives its memory back; the others are untouched. Layers without
 * adapters are plain again, what was merged is unmerged.
 */
export function deleteAdapter(model: Module, name: string): void {
  const holders = holdersIn(model).map(({ holder }) => holder)
  checkAdapters('lora.deleteAdapter', holders, [name])
  const own = holders.filter(holder => holder.names().includes(name))
  const gone = new Set(own.flatMap(holder => holder.parametersOf(name).all))
  for (const holder of own) {
    holder.unmerge()
    holder.remove(name)
    holder.active = holder.active.filter(active => active !== name)
  }
  for (const parameter of gone) {
    parameter.dispose()
  }
  dropEmpty(model)
  adapterConfigs(model).delete(name)
}

// A module of which adapters have versions of their own: `modulesToSave`, trained biases, and layers that
// a file brings along. The module itself stays; while it runs for an adapter, the adapter's parameters
// stand in the place of its own.

import { type Ambient, around, runWithin } from '../core/ambient.ts'
import { Parameter } from '../core/parameter.ts'
import { Tensor } from '../core/tensor.ts'
import type { Member, Module } from '../nn/module.ts'
import { BASE_NAME, chosenAdapters, rowAdapters, withOnly } from './active.ts'
import { loraLayers, plainPath } from './adapters.ts'
import { replaceAt } from './attach.ts'
import { Holder } from './holder.ts'
import { LoraModule } from './module.ts'
import { splitRows } from './rows.ts'

/** An adapter's version of a module: parameters by their paths in it. */
export interface Version {
  readonly parameters: ReadonlyMap<string, Parameter>
  /** Whether training changes them. */
  readonly trained: boolean
}

type Slots = Record<string, Parameter>

/** Puts parameters into a module by their paths; returns those that were there. */
function exchange(
  module: Module,
  parameters: ReadonlyMap<string, Parameter>,
): ReadonlyMap<string, Parameter> {
  const before = new Map<string, Parameter>()
  for (const [path, parameter] of parameters) {
    const [owner, name] = module.ownerOf(path) as [Module, string]
    const slots = owner as unknown as Slots
    before.set(path, slots[name])
    slots[name] = parameter
  }
  return before
}

interface Standing {
  readonly module: Module
  readonly parameters: ReadonlyMap<string, Parameter>
}

/** Runs `fn` while parameters stand in a module in the place of its own. */
function whileStanding<T>({ module, parameters }: Standing, fn: () => T): T {
  const before = exchange(module, parameters)
  try {
    return fn()
  } finally {
    exchange(module, before)
  }
}

/** What stands in modules during the running call; a checkpoint in one of them needs it once more. */
const standing: Ambient<readonly Standing[]> = {
  again: (all, fn) => all.reduceRight((run, one) => () => whileStanding(one, run), fn)(),
}

export class SavedModule extends Holder {
  override readonly exclusive = true
  /** What stands here without adapters; another adapter may have put updates around it. */
  original_module: Module
  readonly versions: Map<string, Version> = new Map()
  readonly #plain: Module

  constructor(module: Module, plain: Module) {
    super()
    this.original_module = module
    this.#plain = plain
  }

  override *members(): Generator<[string, Member]> {
    yield ['original_module', this.original_module]
    for (const [name, { parameters }] of this.versions) {
      for (const [path, parameter] of parameters) {
        yield [`modules_to_save.${name}.${path}`, parameter]
      }
    }
  }

  override names(): string[] {
    return [...this.versions.keys()]
  }

  #version(name: string): Version {
    return this.versions.get(name) as Version
  }

  override entries(name: string): [key: string, Parameter][] {
    return [...this.#version(name).parameters]
  }

  override parametersOf(name: string): { all: Parameter[]; trained: Parameter[] } {
    const { parameters, trained } = this.#version(name)
    const all = [...parameters.values()]
    return { all, trained: trained ? all : [] }
  }

  override remove(name: string): void {
    this.versions.delete(name)
  }

  // biome-ignore lint/suspicious/noExplicitAny: it takes and gives what its module does
  forward(...inputs: any[]): any {
    const rows = rowAdapters()
    const [x, ...rest] = inputs
    if (rows?.some(name => this.versions.has(name)) && x instanceof Tensor) {
      return splitRows(x, rows, (x, name) => withOnly(name, () => this.#run(name, [x, ...rest])))
    }
    const names = rows ? [] : (chosenAdapters() ?? this.active)
    return this.#run(names.findLast(name => this.versions.has(name)) ?? BASE_NAME, inputs)
  }

  // biome-ignore lint/suspicious/noExplicitAny: it takes and gives what its module does
  #run(name: string, inputs: unknown[]): any {
    const version = this.versions.get(name)
    if (!version) {
      return this.original_module.forward(...inputs)
    }
    const own = { module: this.#plain, parameters: version.parameters }
    return runWithin(standing, [...(around(standing) ?? []), own], () =>
      whileStanding(own, () => this.original_module.forward(...inputs)),
    )
  }

  /** The module with an adapter's parameters for good. */
  override unloaded(name: string | undefined): Module {
    const version = name === undefined ? undefined : this.versions.get(name)
    if (version) {
      exchange(this.#plain, version.parameters)
    }
    return this.original_module
  }
}

/** A copy of a parameter, in float32. */
export function copied(parameter: Parameter, stored?: ArrayLike<number>): Parameter {
  const data = stored ?? parameter.dataSync()
  return new Parameter(data, parameter.shape, { backend: parameter.backend })
}

/** The module at a path of the model without adapters: its wrapper, if there is one, and its place. */
export function placeOf(model: Module, path: string): [place: string, module: Module] {
  for (const [place, module] of model.namedModules()) {
    if (plainPath(place) === path) {
      return [place, module]
    }
  }
  throw new Error(`lora: no module "${path}"`)
}

/** The module at a path of the model without adapters, out of all that adapters put around it. */
export function plainAt(model: Module, path: string): Module {
  let [, module] = placeOf(model, path)
  while ('original_module' in module) {
    module = module.original_module as Module
  }
  return module instanceof LoraModule ? module.base : module
}

/** Gives an adapter a version of parameters of the module at `path`. */
export function saveVersion(model: Module, path: string, name: string, version: Version): Module {
  const [place, module] = placeOf(model, path)
  if (module instanceof SavedModule) {
    module.versions.set(name, version)
    return model
  }
  const saved = new SavedModule(module, plainAt(model, path))
  saved.versions.set(name, version)
  return replaceAt(model, place, saved)
}

/** Gives an adapter its own version of one parameter of the layer at `path`, adapted or not. */
export function giveOwn(
  model: Module,
  path: string,
  name: string,
  parameter: 'weight' | 'bias',
  value: Parameter,
): void {
  const { layer } = loraLayers(model).find(found => found.path === path) ?? {}
  const state = layer?.adapters.get(name)
  if (layer && state) {
    const own = { ...state.own, [parameter]: value }
    layer.adapters.set(name, { ...state, own, split: splitRows })
    return
  }
  const [, module] = placeOf(model, path)
  const before = module instanceof SavedModule ? module.versions.get(name) : undefined
  const parameters = new Map([...(before?.parameters ?? []), [parameter, value]])
  saveVersion(model, path, name, { parameters, trained: value.requiresGrad })
}

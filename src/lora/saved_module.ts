// A module of which adapters have versions of their own: `modulesToSave`, trained biases, and layers that
// a file brings along. The module itself stays; while it runs for an adapter, the adapter's parameters
// stand in the place of its own.

import { type Ambient, around, runWithin } from '../core/ambient.ts'
import type { DType } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import { Parameter } from '../core/parameter.ts'
import { Tensor } from '../core/tensor.ts'
import { KVCache } from '../nn/kv_cache.ts'
import type { Member, Module } from '../nn/module.ts'
import { BASE_NAME, chosenAdapters, rowAdapters, withOnly } from './active.ts'
import { loraLayers, plainPath } from './adapters.ts'
import { replaceAt } from './attach.ts'
import { Holder, madeOnce, type Unloading } from './holder.ts'
import { checkCount, LoraModule } from './module.ts'
import { pickRows, splitRows } from './rows.ts'

/** An adapter's version of a module: parameters by their paths in it. */
export interface Version {
  readonly parameters: ReadonlyMap<string, Parameter>
  /** Whether training changes them. */
  readonly trained: boolean
}

type Slots = Record<string, Parameter>

/** Where a parameter is: a property of the module that owns it. */
type Place = readonly [owner: Slots, name: string]

/** The places of a module's parameters by plain path, which stay when adapters put wrappers below. */
function placesIn(module: Module): Map<string, Place> {
  return new Map(
    [...module.namedParameters()].map(([path]) => {
      return [plainPath(path), module.ownerOf(path) as unknown as Place]
    }),
  )
}

/** Puts parameters into their places; returns those that were there. */
function exchange(
  places: ReadonlyMap<string, Place>,
  parameters: ReadonlyMap<string, Parameter>,
): ReadonlyMap<string, Parameter> {
  const before = new Map<string, Parameter>()
  for (const [path, parameter] of parameters) {
    const [owner, name] = places.get(path) as Place
    before.set(path, owner[name])
    owner[name] = parameter
  }
  return before
}

interface Standing {
  readonly places: ReadonlyMap<string, Place>
  readonly parameters: ReadonlyMap<string, Parameter>
}

/** Runs `fn` while parameters stand in a module in the place of its own. */
function whileStanding<T>({ places, parameters }: Standing, fn: () => T): T {
  const before = exchange(places, parameters)
  try {
    return fn()
  } finally {
    exchange(places, before)
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
  readonly #places: ReadonlyMap<string, Place>

  constructor(module: Module, plain: Module) {
    super()
    this.original_module = module
    this.#places = placesIn(plain)
  }

  override get inner(): Module {
    return this.original_module
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
      return this.#forwardRows(x, rest, rows)
    }
    const names = rows ? [] : (chosenAdapters() ?? this.active)
    return this.#run(names.findLast(name => this.versions.has(name)) ?? BASE_NAME, inputs)
  }

  /** Rows of different adapters; what else a module takes is for the whole batch. */
  #forwardRows(x: Tensor, rest: readonly unknown[], rows: readonly string[]): Tensor {
    checkCount(x, rows)
    const run = (name: string, x: Tensor): Tensor =>
      withOnly(name, () => this.#run(name, [x, ...rest]))
    if (rows.every(name => name === rows[0])) {
      return run(rows[0], x)
    }
    if (rest.every(input => input === undefined)) {
      return splitRows(x, rows, (x, name) => run(name, x))
    }
    if (rest.some(input => input instanceof KVCache)) {
      throw new LowrankError(
        'argument',
        'lora: expected one adapter for all rows where a saved module fills a cache, got ' +
          `${[...new Set(rows)].join(', ')} (generate for one at a time)`,
      )
    }
    return pickRows(rows, name => run(name, x))
  }

  // biome-ignore lint/suspicious/noExplicitAny: it takes and gives what its module does
  #run(name: string, inputs: unknown[]): any {
    const version = this.versions.get(name)
    if (!version) {
      return this.original_module.forward(...inputs)
    }
    const own = { places: this.#places, parameters: version.parameters }
    return runWithin(standing, [...(around(standing) ?? []), own], () =>
      whileStanding(own, () => this.original_module.forward(...inputs)),
    )
  }

  override during<T>(names: readonly string[] | undefined, fn: () => T): T {
    const name = (names ?? this.active).findLast(name => this.versions.has(name))
    return name === undefined
      ? fn()
      : whileStanding({ places: this.#places, parameters: this.#version(name).parameters }, fn)
  }

  /** The module with an adapter's parameters for good. */
  override unloaded(name: string | undefined, unloading: Unloading): Module {
    const version = name === undefined ? undefined : this.versions.get(name)
    // A merged layer has been made of the version already and is not found at these places.
    for (const [path, parameter] of version?.parameters ?? []) {
      const [owner, name] = this.#places.get(path) as Place
      const dtype = unloading.dtype ?? owner[name].dtype
      owner[name] = madeOnce(unloading, [parameter], () => frozen(parameter, dtype))
    }
    return this.original_module
  }
}

/** A parameter that is not trained any more, in a dtype. */
function frozen(parameter: Parameter, dtype: DType): Parameter {
  const { shape, backend } = parameter
  if (parameter.dtype !== dtype) {
    return new Parameter(parameter.dataSync(), shape, { dtype, backend, requiresGrad: false })
  }
  parameter.freeze()
  return parameter
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

/** Whether a module holds rows of tokens. */
function withTokens(module: Module): module is Module & { original_module: Module } {
  return 'tokens' in module && 'original_module' in module
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
  const inside = withTokens(module) ? module.original_module : module
  const before = inside instanceof SavedModule ? inside.versions.get(name) : undefined
  const parameters = new Map([...(before?.parameters ?? []), [parameter, value]])
  const version = { parameters, trained: value.requiresGrad }
  if (!withTokens(module)) {
    saveVersion(model, path, name, version)
    return
  }
  // Rows of tokens replace those of the version, so that they stand around it.
  const saved =
    inside instanceof SavedModule ? inside : new SavedModule(inside, plainAt(model, path))
  saved.versions.set(name, version)
  module.original_module = saved
}

// PEFT adapter directories, both ways: adapter_config.json and adapter_model.safetensors, with
// PEFT's keys (peft_tensors.ts). Loading is strict: missing,
// unexpected and mis-shaped tensors are all listed, and nothing but the adapter is ever written to.

import { LowrankError, throwAll } from '../../core/errors.ts'
import { Parameter } from '../../core/parameter.ts'
import { floatBytes, storedDType } from '../../io/dtypes.ts'
import { openSafetensors, type TensorFiles } from '../../io/safetensors.ts'
import { encodeSafetensors, type TensorContent } from '../../io/safetensors-writer.ts'
import {
  type ByteSource,
  type Directory,
  locate,
  readJson,
  type WriteOptions,
} from '../../io/source.ts'
import type { Module } from '../../nn/module.ts'
import { activate, adapterConfigs, adapterNames, holdersIn, loraLayers } from '../adapters.ts'
import { type Attached, applyPlan, type StateWeights } from '../attach.ts'
import { isPlainConfig, type ResolvedConfig } from '../config.ts'
import type { Extension } from '../extension.ts'
import { checkAdapters } from '../module.ts'
import { baseOf, type Described, type Plan, type PlannedLayer, plan } from '../plan.ts'
import { ALONE, factorNames } from '../state.ts'
import { whereReadable } from '../where_readable.ts'
import { decodePeftConfig, encodePeftConfig, readPeftOptions } from './peft_config.ts'
import {
  adapterTensors,
  carriedShapes,
  carriedWeights,
  expectedShapes,
  keyOf,
  PREFIX,
  readFloats,
  sharesWeight,
  storedKeyIn,
  tensorProblems,
} from './peft_tensors.ts'

export const CONFIG_FILE = 'adapter_config.json'
export const WEIGHTS_FILE = 'adapter_model.safetensors'

export interface SaveAdapterOptions extends WriteOptions {
  /** Which adapter; the only one, or the default one, if absent. */
  readonly adapterName?: string
  /** The element type of the file; float32 if absent. */
  readonly saveDtype?: 'float32' | 'float16' | 'bfloat16'
  /** What the file says its base is: a hub name or a path. */
  readonly baseModelNameOrPath?: string
}

/** The adapter that is meant: the only one, or the default one, unless it is named. */
export function chosenName(model: Module, wanted: string | undefined): string {
  const holders = holdersIn(model).map(({ holder }) => holder)
  const names = adapterNames(model)
  const active = holders.flatMap(holder => holder.active)
  const name = wanted ?? (names.length === 1 ? names[0] : active[0])
  if (name === undefined) {
    throw new LowrankError(
      'target',
      `lora.saveAdapter: expected a model with an adapter, got ${names.length || 'none'} ` +
        (names.length > 0 ? '(say which: adapterName)' : '(attach one first)'),
    )
  }
  checkAdapters('lora.saveAdapter', holders, [name])
  return name
}

/**
 * Writes an adapter as PEFT does: both files, or nothing. Throws a `file` error if there is anything
 * in the directory and `overwrite` is not set.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { memoryDirectory } from 'lowrank/io'
 * import { saveAdapter } from 'lowrank/lora'
 *
 * const directory = memoryDirectory()
 * await saveAdapter(attach(new Linear(4, 4), { r: 2 }), directory)
 * console.log(await directory.list()) // ['adapter_config.json', 'adapter_model.safetensors']
 * ```
 */
export async function saveAdapter(
  model: Module,
  directory: Directory,
  options: SaveAdapterOptions = {},
): Promise<void> {
  const name = chosenName(model, options.adapterName)
  await directory.checkWritable(options)
  const made = adapterConfigs(model).get(name) as ResolvedConfig
  const tensors = new Map<string, TensorContent & { readonly bytes: Uint8Array }>()
  for (const [key, parameter] of adapterTensors(model, name)) {
    const dtype = options.saveDtype ?? (parameter.dtype as 'float32')
    const bytes = floatBytes(await parameter.data(), dtype)
    tensors.set(key, { dtype: storedDType(dtype), shape: parameter.shape, bytes })
  }
  const config = { ...made, targetModules: made.targetModules ?? [ALONE] }
  const described = { ...options, fanInFanOut: isFanInFanOut(model, name) }
  const files = new Map<string, string | Uint8Array>([
    [CONFIG_FILE, encodePeftConfig(config, described)],
    [WEIGHTS_FILE, encodeSafetensors(tensors, { format: 'pt' })],
  ])
  await directory.writeAll(files, options)
}

/** PEFT notes the orientation of the linear layer that it adapted last. */
function isFanInFanOut(model: Module, name: string): boolean {
  const kinds = loraLayers(model)
    .filter(({ layer }) => layer.adapters.has(name))
    .map(({ layer }) => layer.base.kind)
  return kinds.findLast(kind => kind === 'linear' || kind === 'conv1d') === 'conv1d'
}

export interface LoadAdapterOptions {
  /** The name the adapter gets on the model; `default` if absent. */
  readonly adapterName?: string
  /** Whether it can be trained further; frozen if absent. */
  readonly isTrainable?: boolean
  /** Extensions of your own. */
  readonly extensions?: readonly Extension[]
  /** Told of a base that is not the one of lowrank.json, which is read only then. */
  readonly onWarning?: (warning: string) => void
}

/** What the file needs beyond plain LoRA; the code for it is fetched only then. */
async function extensionsFor(
  where: string,
  json: unknown,
  own: readonly Extension[],
): Promise<readonly Extension[]> {
  if (isPlainConfig(readPeftOptions(where, json))) {
    return own
  }
  const { EXTENSIONS } = await import('../extensions.ts')
  return [...own, ...EXTENSIONS]
}

/** Reads the tensors of a plan, by the keys that PEFT writes today. */
async function readAll(
  keys: Iterable<string>,
  files: TensorFiles,
): Promise<Map<string, Float64Array>> {
  const storedKey = storedKeyIn(files)
  const found = new Map<string, Float64Array>()
  for (const key of keys) {
    if (files.tensors.has(storedKey(key))) {
      found.set(key, await readFloats(files, storedKey(key)))
    }
  }
  return found
}

/** The elements of one layer's adapter. */
export function weightsOf(
  { path, kind, variant, layer }: PlannedLayer,
  stored: ReadonlyMap<string, Float64Array>,
): StateWeights {
  const elements = (name: string): Float64Array => stored.get(keyOf(path, name)) as Float64Array
  const [A, B] = factorNames(kind)
  const extra = Object.keys(variant?.extraShapes?.(baseOf(layer)) ?? {})
  return {
    A: elements(A),
    B: elements(B),
    bias: stored.get(keyOf(path, 'lora_B.bias')),
    extra: Object.fromEntries(extra.map(name => [name, elements(name)])),
  }
}

/** Whether a parameter has these elements. */
export async function isSame(data: ArrayLike<number>, parameter: Parameter): Promise<boolean> {
  const own = await parameter.data()
  return own.every((value, i) => value === data[i])
}

/** Weights of embedding and output layer that differ from the base's count for this adapter alone. */
async function applyCarried(
  model: Module,
  { config, adapterName }: Plan,
  stored: ReadonlyMap<string, Float64Array>,
): Promise<void> {
  const made = new Map<Parameter, Parameter>()
  const { inputLayer, outputLayer } = model as Module & Described
  const isTied = outputLayer !== undefined && sharesWeight(model, outputLayer, inputLayer)
  const carried = carriedWeights(model, config)
  for (const { path, name, key, parameter } of carried) {
    const data = stored.get(key)
    if (!data || (await isSame(data, parameter))) {
      continue
    }
    const own = await sharedOr(made.get(parameter), data, parameter)
    made.set(parameter, own)
    const { giveOwn } = await import('../saved_module.ts')
    giveOwn(model, path, adapterName, name, own)
    if (isTied && path === inputLayer && !carried.some(({ path }) => path === outputLayer)) {
      giveOwn(model, outputLayer, adapterName, name, own)
    }
  }
}

/** The parameter that a tied layer was given already, if the file has the same for both. */
async function sharedOr(
  shared: Parameter | undefined,
  data: ArrayLike<number>,
  { shape, backend }: Parameter,
): Promise<Parameter> {
  return shared && (await isSame(data, shared))
    ? shared
    : new Parameter(data, shape, { backend, requiresGrad: false })
}

/** What the adapter's start took from the base, which its file does not say. */
export function startOf(
  { path, layer, r, scaling }: PlannedLayer,
  { config }: Plan,
  extensions: readonly Extension[],
): StateWeights['start'] {
  const start = { base: baseOf(layer), path, r, scaling, seed: 0, stream: 0 }
  for (const extension of extensions) {
    const found = extension.takenFromBase?.(config, start)
    if (found) {
      return found
    }
  }
  return undefined
}

/** An adapter that was read, and how it fits a model that is not changed yet. */
export interface ReadAdapter {
  readonly made: Plan
  readonly stored: ReadonlyMap<string, Float64Array>
  readonly extensions: readonly Extension[]
}

/** Reads both files and finds out whether they fit; throws if they do not. */
export async function readAdapter(
  model: Module,
  source: ByteSource,
  options: LoadAdapterOptions,
): Promise<ReadAdapter> {
  const where = locate(source, CONFIG_FILE)
  const json = await readJson(source, CONFIG_FILE)
  const extensions = await extensionsFor(where, json, options.extensions ?? [])
  const config = decodePeftConfig(where, json, extensions)
  const { adapterName } = options
  const made = plan(model, config, { adapterName, anyRank: true, extensions })
  throwAll('target', where, made.problems)
  const files = await openSafetensors(source, WEIGHTS_FILE)
  const expected = expectedShapes(made)
  const optional = carriedShapes(model, made)
  const problems = tensorProblems(expected, optional, files, storedKeyIn(files))
  throwAll('file', locate(source, WEIGHTS_FILE), problems)
  const stored = await readAll([...expected.keys(), ...optional.keys()], files)
  return { made, stored, extensions }
}

/**
 * Reads a PEFT adapter onto a model, where it becomes the default one. Strict: every missing,
 * unexpected or mis-shaped tensor is listed, and the model is changed only if there is none.
 * Throws `file`, `config` or `target` errors. A single layer returns its wrapper.
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { memoryDirectory } from 'lowrank/io'
 * import { attach, load, saveAdapter } from 'lowrank/lora'
 *
 * const files = memoryDirectory()
 * await saveAdapter(attach(new Linear(4, 4), { r: 2, useDora: true }), files)
 * const layer = await load(new Linear(4, 4), files, { isTrainable: true })
 * console.log(layer.trainable().length) // 3
 * ```
 */
export async function load<M extends Module>(
  model: M,
  source: ByteSource,
  options: LoadAdapterOptions = {},
): Promise<Attached<M>> {
  const { made, stored, extensions } = await readAdapter(model, source, options)
  const parts = new Map([...stored].map(([key, data]) => [key.slice(PREFIX.length), data]))
  const weights = (planned: PlannedLayer): StateWeights => ({
    ...weightsOf(planned, stored),
    start: startOf(planned, made, extensions),
  })
  const loaded = await whereReadable(model, made.config, extensions, () =>
    applyPlan(model, made, weights, parts),
  )
  await applyCarried(loaded, made, stored)
  activate(loaded, [made.adapterName])
  if (!options.isTrainable) {
    loaded.freeze()
  }
  if (options.onWarning) {
    const { baseWarnings } = await import('./provenance.ts')
    for (const warning of await baseWarnings(loaded, source)) {
      options.onWarning(warning)
    }
  }
  return loaded as Attached<M>
}

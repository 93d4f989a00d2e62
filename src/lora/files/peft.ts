// PEFT adapter directories, both ways: adapter_config.json and adapter_model.safetensors, with
// PEFT's keys (`base_model.model.` + path + `.lora_A.weight`). Loading is strict: missing,
// unexpected and mis-shaped tensors are all listed, and nothing but the adapter is ever written to.

import { LowrankError, throwAll } from '../../core/errors.ts'
import type { Parameter } from '../../core/parameter.ts'
import { formatShape, type Shape } from '../../core/shape.ts'
import { bytesOf, fromNumbers, type StoredDType, toFloat64 } from '../../io/dtypes.ts'
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
import { adapterConfigs, adapterNames, loraLayers, setAdapter } from '../adapters.ts'
import { type Attached, applyPlan, type StateWeights } from '../attach.ts'
import { isPlainConfig, type ResolvedConfig } from '../config.ts'
import type { Extension } from '../extension.ts'
import { checkAdapters, LoraModule } from '../module.ts'
import { baseOf, type Plan, type PlannedLayer, plan } from '../plan.ts'
import { entryShapes, factorNames, stateEntries } from '../state.ts'
import { decodePeftConfig, encodePeftConfig, readPeftOptions } from './peft_config.ts'

export const CONFIG_FILE = 'adapter_config.json'
export const WEIGHTS_FILE = 'adapter_model.safetensors'

const PREFIX = 'base_model.model.'

export interface SaveAdapterOptions extends WriteOptions {
  /** Which adapter; the only one, or the default one, if absent. */
  readonly adapterName?: string
  /** The element type of the file; float32 if absent. */
  readonly saveDtype?: 'float32' | 'float16' | 'bfloat16'
  /** What the file says its base is: a hub name or a path. */
  readonly baseModelNameOrPath?: string
}

const STORED: Readonly<Record<string, StoredDType>> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
}

/**
 * The name of a layer that is the whole model, which PEFT cannot wrap: the file fits a PyTorch module
 * whose only layer is `self.linear`.
 */
const ALONE = 'linear'

function keyOf(path: string, name: string): string {
  return `${PREFIX}${path === '' ? ALONE : path}.${name}`
}

function chosenName(model: Module, wanted: string | undefined): string {
  const layers = loraLayers(model).map(({ layer }) => layer)
  const names = adapterNames(model)
  const active = layers.flatMap(layer => layer.active)
  const name = wanted ?? (names.length === 1 ? names[0] : active[0])
  if (name === undefined) {
    throw new LowrankError(
      'target',
      `lora.saveAdapter: expected a model with an adapter, got ${names.length || 'none'} ` +
        (names.length > 0 ? '(say which: adapterName)' : '(attach one first)'),
    )
  }
  checkAdapters('lora.saveAdapter', layers, [name])
  return name
}

/** The tensors of an adapter by their keys in PEFT's file, as numbers. */
export function adapterTensors(model: Module, name: string): Map<string, Parameter> {
  const tensors = new Map<string, Parameter>()
  for (const { path, layer } of loraLayers(model)) {
    const state = layer.adapters.get(name)
    for (const [suffix, parameter] of state ? stateEntries(layer.base.kind, state) : []) {
      tensors.set(keyOf(path, suffix), parameter)
    }
  }
  return tensors
}

type EncodedTensor = TensorContent & { readonly bytes: Uint8Array }

async function contentOf(parameter: Parameter, dtype: StoredDType): Promise<EncodedTensor> {
  const data = await parameter.data()
  const bytes = data instanceof Float32Array && dtype === 'F32' ? bytesOf(data) : undefined
  return { dtype, shape: parameter.shape, bytes: bytes ?? fromNumbers(data, dtype) }
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
  const dtype = STORED[options.saveDtype ?? 'float32']
  const tensors = new Map<string, EncodedTensor>()
  for (const [key, parameter] of adapterTensors(model, name)) {
    tensors.set(key, await contentOf(parameter, dtype))
  }
  const made = adapterConfigs(model).get(name) as ResolvedConfig
  const config = { ...made, targetModules: made.targetModules ?? [ALONE] }
  const files = new Map<string, string | Uint8Array>([
    [CONFIG_FILE, encodePeftConfig(config, options)],
    [WEIGHTS_FILE, encodeSafetensors(tensors, { format: 'pt' })],
  ])
  await directory.writeAll(files, options)
}

export interface LoadAdapterOptions {
  /** The name the adapter gets on the model; `default` if absent. */
  readonly adapterName?: string
  /** Whether it can be trained further; frozen if absent. */
  readonly isTrainable?: boolean
  /** Extensions of your own. */
  readonly extensions?: readonly Extension[]
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

function expectedShapes(planned: PlannedLayer, loraBias: boolean): [string, Shape][] {
  const base = planned.layer instanceof LoraModule ? planned.layer.base : planned.layer
  return entryShapes(base, { ...planned, loraBias }).map(([name, shape]) => [
    keyOf(planned.path, name),
    shape,
  ])
}

function tensorProblems(made: Plan, files: TensorFiles): string[] {
  const problems: string[] = []
  const expected = new Map(
    made.layers.flatMap(planned => expectedShapes(planned, made.config.loraBias)),
  )
  for (const [key, shape] of expected) {
    const stored = files.tensors.get(key)
    if (!stored) {
      problems.push(`missing "${key}" ${formatShape(shape)}`)
    } else if (formatShape(stored.shape) !== formatShape(shape)) {
      problems.push(`"${key}" is ${formatShape(stored.shape)}, expected ${formatShape(shape)}`)
    } else if (!['F32', 'F16', 'BF16', 'F64'].includes(stored.dtype)) {
      problems.push(`"${key}" is ${stored.dtype}, expected floats`)
    }
  }
  for (const key of files.tensors.keys()) {
    if (!expected.has(key)) {
      problems.push(`unexpected "${key}"`)
    }
  }
  return problems
}

async function readFloats(files: TensorFiles, key: string): Promise<Float64Array> {
  const dtype = files.tensors.get(key)?.dtype as StoredDType
  return toFloat64(await files.read(key), dtype)
}

async function readWeights(made: Plan, files: TensorFiles): Promise<Map<string, StateWeights>> {
  const weights = new Map<string, StateWeights>()
  for (const { path, kind, variant, layer } of made.layers) {
    const base = layer instanceof LoraModule ? layer.base : layer
    const [A, B] = factorNames(kind)
    const read = (name: string): Promise<Float64Array> => readFloats(files, keyOf(path, name))
    const extra: Record<string, Float64Array> = {}
    for (const name of Object.keys(variant?.extraShapes?.(base) ?? {})) {
      extra[name] = await read(name)
    }
    weights.set(path, {
      A: await read(A),
      B: await read(B),
      bias: made.config.loraBias ? await read('lora_B.bias') : undefined,
      extra,
    })
  }
  return weights
}

/** What the adapter's start took from the base, which its file does not say. */
function startOf(
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

/**
 * Reads a PEFT adapter onto a model, where it becomes the default one. Strict: every missing,
 * unexpected or mis-shaped tensor is listed, and the model is changed only if there is none.
 * Throws `file`, `config` or `target` errors. A single linear layer returns its wrapper.
 */
export async function load<M extends Module>(
  model: M,
  source: ByteSource,
  options: LoadAdapterOptions = {},
): Promise<Attached<M>> {
  const where = locate(source, CONFIG_FILE)
  const json = await readJson(source, CONFIG_FILE)
  const extensions = await extensionsFor(where, json, options.extensions ?? [])
  const config = decodePeftConfig(where, json, extensions)
  const { adapterName } = options
  const made = plan(model, config, { adapterName, anyRank: true, extensions })
  throwAll('target', where, made.problems)
  const files = await openSafetensors(source, WEIGHTS_FILE)
  throwAll('file', locate(source, WEIGHTS_FILE), tensorProblems(made, files))
  const weights = await readWeights(made, files)
  const loaded = applyPlan(model, made, planned => ({
    ...(weights.get(planned.path) as StateWeights),
    start: startOf(planned, made, extensions),
  }))
  setAdapter(loaded, made.adapterName)
  if (!options.isTrainable) {
    loaded.freeze()
  }
  return loaded as Attached<M>
}

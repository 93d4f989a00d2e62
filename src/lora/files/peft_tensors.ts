// The tensors of an adapter by PEFT's keys (`base_model.model.` + path + `.lora_A.weight`): which ones a
// configuration makes, which of a file fit, and what is in them. An adapter on the embedding or the
// output layer, or on a resized model, brings the weights of these layers with it; they never overwrite
// the base's, but become a version of the adapter's own where they differ.

import type { Parameter } from '../../core/parameter.ts'
import { formatShape, type Shape } from '../../core/shape.ts'
import { type StoredDType, toFloat64 } from '../../io/dtypes.ts'
import type { TensorFiles } from '../../io/safetensors.ts'
import type { Module } from '../../nn/module.ts'
import { adapterConfigs, holdersIn } from '../adapters.ts'
import type { LoraConfig } from '../config.ts'
import { LoraModule } from '../module.ts'
import { baseOf, type Described, type Plan } from '../plan.ts'
import { entryShapes, fileKey } from '../state.ts'
import { matchesTarget } from '../targets.ts'

export const PREFIX = 'base_model.model.'

/** The key of a tensor of the module at `path`. */
export function keyOf(path: string, name: string): string {
  return PREFIX + fileKey(path, name)
}

/** The name of trained tokens. */
const TOKENS = 'token_adapter.trainable_tokens_delta'

/** The layers whose names PEFT looks for, whatever the model calls its own. */
const EMBEDDINGS = ['embed_tokens', 'lm_head']

/** Whether the targets name an embedding or output layer, as PEFT sees it. */
function targetsEmbedding(model: Module, targets: LoraConfig['targetModules']): boolean {
  if (typeof targets !== 'string') {
    return EMBEDDINGS.some(name => targets?.includes(name))
  }
  const paths = holdersIn(model).map(({ path }) => path)
  return paths.some(
    path =>
      EMBEDDINGS.includes(path.split('.').at(-1) ?? '') &&
      matchesTarget('targetModules', path, targets),
  )
}

interface Resizable extends Described {
  readonly originalVocabSize?: number
  readonly sizes?: { readonly vocabSize?: number }
}

function isResized({ originalVocabSize, sizes }: Resizable): boolean {
  return originalVocabSize !== undefined && sizes?.vocabSize !== originalVocabSize
}

/** Embedding and output layer; what classifies is neither. */
function vocabularyLayers({ inputLayer, outputLayer, originalVocabSize }: Resizable): string[] {
  const output = originalVocabSize === undefined ? undefined : outputLayer
  return [inputLayer, output].filter(path => path !== undefined)
}

/** A weight of the base that the file carries. */
export interface CarriedWeight {
  readonly path: string
  /** The name of the parameter in the plain layer. */
  readonly name: 'weight' | 'bias'
  readonly key: string
  readonly parameter: Parameter
}

/** The module at a path, without what adapters put around it. */
function plainModuleAt(model: Module, path: string): Module | undefined {
  let found = [...model.namedModules()].find(([place]) => place === path)?.[1]
  while (found && 'original_module' in found) {
    found = found.original_module as Module
  }
  return found
}

/** Whether trained tokens of an adapter have rows of the layer at `path`. */
function hasTokens(
  { trainableTokenIndices: tokens }: LoraConfig,
  path: string,
  model: Described,
): boolean {
  const named = Array.isArray(tokens) ? [model.inputLayer ?? ''] : Object.keys(tokens ?? {})
  return named.some(name => path.endsWith(name))
}

/** What PEFT has between the path of a layer that is not adapted and the names of its parameters. */
function placeInFile(model: Module & Described, path: string, config: LoraConfig): string {
  const { inputLayer, outputLayer } = model
  const isTied = path === outputLayer && sharesWeight(model, path, inputLayer)
  const own = hasTokens(config, path, model)
  return own || (isTied && hasTokens(config, inputLayer ?? '', model))
    ? 'token_adapter.base_layer.'
    : ''
}

/** Whether two layers have the same weight. */
export function sharesWeight(model: Module, path: string, other: string | undefined): boolean {
  const of = (path: string | undefined): unknown => {
    const found = path === undefined ? undefined : plainModuleAt(model, path)
    const module = found instanceof LoraModule ? found.base : found
    return module && 'weight' in module ? module.weight : undefined
  }
  return of(path) !== undefined && of(path) === of(other)
}

/** Whether an adapter has a layer whole, so that its file has no other weight of it. */
function isSaved({ modulesToSave }: LoraConfig, path: string): boolean {
  return modulesToSave?.some(name => path.endsWith(name)) ?? false
}

/** The weights of embedding and output layer, where PEFT saves them with the adapter. */
export function carriedWeights(model: Module, config: LoraConfig): CarriedWeight[] {
  const described = model as Module & Resizable
  const targeted =
    config.trainableTokenIndices === undefined && targetsEmbedding(model, config.targetModules)
  if (!targeted && !isResized(described)) {
    return []
  }
  return vocabularyLayers(described).flatMap((path): CarriedWeight[] => {
    const module = plainModuleAt(model, path)
    const wrapped = module instanceof LoraModule
    if (!module || (targeted && !wrapped) || isSaved(config, path)) {
      return []
    }
    const plain: Module = wrapped ? module.base : module
    const prefix = wrapped ? 'base_layer.' : placeInFile(described, path, config)
    return [...plain.namedParameters()].map(([name, parameter]) => {
      return { path, name: name as 'weight', key: keyOf(path, prefix + name), parameter }
    })
  })
}

/** The parameters of an adapter by their keys in PEFT's file, with weights that it carries. */
export function adapterTensors(model: Module, name: string): Map<string, Parameter> {
  const tensors = new Map<string, Parameter>()
  const carried = new Map<string, Parameter>()
  for (const { path, holder } of holdersIn(model).filter(({ holder }) =>
    holder.names().includes(name),
  )) {
    const isCarried =
      !(holder instanceof LoraModule) && holder.parametersOf(name).trained.length === 0
    for (const [suffix, parameter] of holder.entries(name)) {
      const found = isCarried ? carried : tensors
      found.set(keyOf(path, suffix), parameter)
    }
  }
  const config = adapterConfigs(model).get(name) ?? {}
  for (const { path, name: part, key, parameter } of carriedWeights(model, config)) {
    tensors.set(key, tensors.get(key) ?? carried.get(keyOf(path, part)) ?? parameter)
  }
  const again = tokensAgain(model, config)
  const rows = again && tensors.get(again.key)
  if (rows) {
    tensors.set(again.repeated, rows)
  }
  return tensors
}

/** Where PEFT repeats trained tokens of a resized model: at an output layer that shares their weight. */
function tokensAgain(
  model: Module,
  config: LoraConfig,
): { readonly key: string; readonly repeated: string } | undefined {
  const described = model as Module & Resizable
  const { inputLayer, outputLayer } = described
  if (inputLayer === undefined || outputLayer === undefined || !isResized(described)) {
    return undefined
  }
  return hasTokens(config, inputLayer, described) && sharesWeight(model, outputLayer, inputLayer)
    ? { key: keyOf(inputLayer, TOKENS), repeated: keyOf(outputLayer, TOKENS) }
    : undefined
}

/** The shapes of the weights that a file may carry, once the plan is carried out. */
export function carriedShapes(model: Module, { layers, parts, config }: Plan): Map<string, Shape> {
  const described = model as Module & Resizable
  const shapes = new Map<string, Shape>()
  for (const path of vocabularyLayers(described)) {
    const module = plainModuleAt(model, path)
    if (!module) {
      continue
    }
    const adapted = module instanceof LoraModule || layers.some(layer => layer.path === path)
    if (adapted || isResized(described)) {
      const plain = module instanceof LoraModule ? module.base : module
      for (const [name, { shape }] of plain.namedParameters()) {
        for (const place of placesInFile(described, path, { config, adapted })) {
          shapes.set(keyOf(path, place + name), shape)
        }
      }
    }
  }
  const again = tokensAgain(model, config)
  const rows = again && parts.map(part => part.shapes.get(again.key.slice(PREFIX.length)))
  const shape = rows?.find(shape => shape !== undefined)
  if (again && shape) {
    shapes.set(again.repeated, shape)
  }
  return shapes
}

/** Under which names below its path a file may have a layer's weights, beside those that are trained. */
function placesInFile(
  model: Module & Described,
  path: string,
  { config, adapted }: { readonly config: LoraConfig; readonly adapted: boolean },
): string[] {
  if (adapted) {
    return ['base_layer.']
  }
  // A layer that is saved whole is there three times: PEFT leaves the wrapper's names to it.
  return isSaved(config, path)
    ? ['modules_to_save.', 'original_module.']
    : [placeInFile(model, path, config)]
}

/** The shapes that a plan expects in a file, by key. */
export function expectedShapes(made: Plan): Map<string, Shape> {
  const { loraBias } = made.config
  const shapes = new Map<string, Shape>()
  for (const planned of made.layers) {
    for (const [name, shape] of entryShapes(baseOf(planned.layer), { ...planned, loraBias })) {
      shapes.set(keyOf(planned.path, name), shape)
    }
  }
  for (const [key, shape] of made.parts.flatMap(part => [...part.shapes])) {
    shapes.set(PREFIX + key, shape)
  }
  return shapes
}

/** What is missing in a file, does not fit, or is not expected, in words. */
export function tensorProblems(
  expected: ReadonlyMap<string, Shape>,
  optional: ReadonlyMap<string, Shape>,
  files: TensorFiles,
  storedKey: (key: string) => string,
): string[] {
  const problems: string[] = []
  const known = new Set<string>()
  for (const [key, shape] of [...expected, ...optional]) {
    const at = storedKey(key)
    const stored = files.tensors.get(at)
    known.add(at)
    if (!stored && expected.has(key)) {
      problems.push(`missing "${key}" ${formatShape(shape)}`)
    } else if (stored && formatShape(stored.shape) !== formatShape(shape)) {
      problems.push(`"${key}" is ${formatShape(stored.shape)}, expected ${formatShape(shape)}`)
    } else if (stored && !['F32', 'F16', 'BF16', 'F64'].includes(stored.dtype)) {
      problems.push(`"${key}" is ${stored.dtype}, expected floats`)
    }
  }
  for (const key of files.tensors.keys()) {
    if (!known.has(key)) {
      problems.push(`unexpected "${key}"`)
    }
  }
  return problems
}

/** The elements of a tensor of the file. */
export async function readFloats(files: TensorFiles, key: string): Promise<Float64Array> {
  const dtype = files.tensors.get(key)?.dtype as StoredDType
  return toFloat64(await files.read(key), dtype)
}

/** Under which key a file has a tensor: older versions of PEFT wrote magnitudes with a suffix. */
export function storedKeyIn(files: TensorFiles): (key: string) => string {
  return key => {
    const older = `${key}.weight`
    return key.endsWith('.lora_magnitude_vector') && files.tensors.has(older) ? older : key
  }
}

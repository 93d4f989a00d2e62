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

/** A weight of the base that the file carries. */
export interface CarriedWeight {
  readonly path: string
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

/** The weights of embedding and output layer, where PEFT saves them with the adapter. */
export function carriedWeights(model: Module, config: LoraConfig): CarriedWeight[] {
  const described: Resizable = model as Module & Resizable
  const layers = [described.inputLayer, described.outputLayer].filter(path => path !== undefined)
  const targeted =
    config.trainableTokenIndices === undefined && targetsEmbedding(model, config.targetModules)
  if (!targeted && !isResized(described)) {
    return []
  }
  return layers.flatMap((path): CarriedWeight[] => {
    const module = plainModuleAt(model, path)
    const wrapped = module instanceof LoraModule
    if (!module || (targeted && !wrapped)) {
      return []
    }
    const plain: Module = wrapped ? module.base : module
    const prefix = wrapped ? 'base_layer.' : ''
    return [...plain.namedParameters()].map(([name, parameter]) => {
      return { path, key: keyOf(path, prefix + name), parameter }
    })
  })
}

/** The parameters of an adapter by their keys in PEFT's file, with weights that it carries. */
export function adapterTensors(model: Module, name: string): Map<string, Parameter> {
  const tensors = new Map<string, Parameter>()
  for (const { path, holder } of holdersIn(model)) {
    for (const [suffix, parameter] of holder.names().includes(name) ? holder.entries(name) : []) {
      tensors.set(keyOf(path, suffix), parameter)
    }
  }
  for (const { key, parameter } of carriedWeights(model, adapterConfigs(model).get(name) ?? {})) {
    tensors.set(key, tensors.get(key) ?? parameter)
  }
  return tensors
}

/** The shapes of the weights that a file may carry, once the plan is carried out. */
export function carriedShapes(model: Module, { layers }: Plan): Map<string, Shape> {
  const described: Resizable = model as Module & Resizable
  const shapes = new Map<string, Shape>()
  for (const path of [described.inputLayer, described.outputLayer]) {
    const module = path === undefined ? undefined : plainModuleAt(model, path)
    if (path === undefined || !module) {
      continue
    }
    const adapted = module instanceof LoraModule || layers.some(layer => layer.path === path)
    if (adapted || isResized(described)) {
      const plain = module instanceof LoraModule ? module.base : module
      for (const [name, { shape }] of plain.namedParameters()) {
        shapes.set(keyOf(path, adapted ? `base_layer.${name}` : name), shape)
      }
    }
  }
  return shapes
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

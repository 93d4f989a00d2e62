// `modulesToSave`: modules that an adapter has a trained copy of, whole. Names match the ends of paths,
// wherever a name begins (`norm` means `input_layernorm` too), as in PEFT 0.21, `_set_trainable`. Heads
// of classifiers are among them by their task. With `ensureWeightTying`, an output layer that shares the
// weight of a saved embedding shares the copy.

import type { Parameter } from '../../core/parameter.ts'
import type { Shape } from '../../core/shape.ts'
import type { Module } from '../../nn/module.ts'
import { holdersIn, plainPath } from '../adapters.ts'
import { isFlag, isNames, type LoraConfig } from '../config.ts'
import type { Extension, PartsRequest, PlannedPart } from '../extension.ts'
import { copied } from '../made_parameter.ts'
import { LoraModule } from '../module.ts'
import type { Candidate } from '../plan.ts'
import { plainAt, saveVersion } from '../saved_module.ts'
import { fileKey } from '../state.ts'

/** The options that concern whole modules. */
export interface ModulesConfig {
  /** Ends of the paths of modules that are trained whole, as copies. */
  readonly modulesToSave?: readonly string[]
  /** Whether layers that share a weight go on sharing it in the adapter. */
  readonly ensureWeightTying?: boolean
}

/** The heads that a task adds to `modulesToSave`. */
const HEADS: Readonly<Record<string, readonly string[]>> = {
  SEQ_CLS: ['classifier', 'score'],
  TOKEN_CLS: ['classifier', 'score'],
  QUESTION_ANS: ['qa_outputs'],
}

/** Names of modules to save, those of the task's heads included. */
export function savedNames({ modulesToSave = [], taskType = '' }: LoraConfig): string[] {
  const heads = Object.hasOwn(HEADS, taskType) ? HEADS[taskType] : []
  return [...new Set([modulesToSave, ...heads].flat())]
}

/** Whether a path is inside a saved module, where no update goes. */
function isInside(path: string, names: readonly string[]): boolean {
  return names.some(name => new RegExp(`(^|\\.)${name.replaceAll('.', '\\.')}($|\\.)`).test(path))
}

/** Whether a path is that of a saved module, or inside of one: ends of names count, as for PEFT. */
export function isSaved(path: string, names: readonly string[]): boolean {
  return path.split('.').some((_, i, parts) => {
    const outer = parts.slice(0, i + 1).join('.')
    return names.some(name => outer.endsWith(name))
  })
}

/** The parameters of a module by path, as if there were no adapters below. */
function ownParameters(module: Module): Map<string, Parameter> {
  const plain = module instanceof LoraModule ? module.base : module
  const adapted = new Set(holdersIn(plain).flatMap(({ holder }) => holder.held()))
  return new Map(
    [...plain.namedParameters()]
      .filter(([, parameter]) => !adapted.has(parameter))
      .map(([path, parameter]) => [plainPath(path), parameter]),
  )
}

/** Saved modules inside of others, whose parameters would be saved twice. */
function nested(found: readonly Candidate[]): string[] {
  return found.flatMap(({ path }) => {
    const outer = found.find(other => path.startsWith(`${other.path}.`))
    return outer ? `modulesToSave: "${path}" is a part of "${outer.path}" (save one of them)` : []
  })
}

/** An output layer whose weight is that of the module at `path`. */
function tiedTo({ model, config }: PartsRequest, path: string): string | undefined {
  const { inputLayer, outputLayer } = model
  if (!config.ensureWeightTying || path !== inputLayer || outputLayer === undefined) {
    return undefined
  }
  const [own, head] = [path, outputLayer].map(at => ownParameters(plainAt(model, at)).get('weight'))
  return own && own === head ? outputLayer : undefined
}

function savedPart(request: PartsRequest, { path, module }: Candidate): PlannedPart {
  const parameters = ownParameters(module)
  const tied = tiedTo(request, path)
  const shapes = new Map<string, Shape>()
  for (const [name, { shape }] of parameters) {
    shapes.set(fileKey(path, name), shape)
    if (tied !== undefined) {
      shapes.set(fileKey(tied, name), shape)
    }
  }
  return {
    parameters: [...parameters.values()].reduce((sum, { size }) => sum + size, 0),
    shapes,
    apply(model, adapterName, stored) {
      const copies = [...parameters].map(([name, parameter]) => {
        return [name, copied(parameter, stored?.get(fileKey(path, name)))] as const
      })
      const version = { parameters: new Map(copies), trained: true }
      const result = saveVersion(model, path, adapterName, version)
      return tied ? saveVersion(result, tied, adapterName, version) : result
    },
  }
}

function parts(request: PartsRequest): PlannedPart[] {
  const { config, candidates, layers, problems, model } = request
  const names = savedNames(config)
  const found = candidates.filter(({ path }) => path !== '' && names.some(n => path.endsWith(n)))
  if (layers.some(({ path }) => tiedTo(request, path) !== undefined)) {
    problems.push(
      'ensureWeightTying: an adapted embedding cannot share its update with the output layer ' +
        '(modulesToSave can; or leave it out, and the output layer stays as it is)',
    )
  }
  problems.push(...nested(found))
  const tiedAway = (path: string): boolean =>
    path === model.outputLayer && found.some(other => tiedTo(request, other.path) === path)
  for (const name of config.modulesToSave ?? []) {
    if (
      !Object.values(HEADS).flat().includes(name) &&
      !found.some(({ path }) => path.endsWith(name))
    ) {
      problems.push(`modulesToSave: no module of the model ends in "${name}"`)
    }
  }
  return found.filter(({ path }) => !tiedAway(path)).map(saved => savedPart(request, saved))
}

export const modules: Extension = {
  name: 'modules',
  options: {
    modulesToSave: (value, config, extensions) =>
      Array.isArray(value) ? isNames(value, config, extensions) : 'a list of names',
    ensureWeightTying: isFlag,
  },
  selects: (path, config) => !isInside(path, savedNames(config)),
  parts,
}

// `bias`: which biases of the base are trained beside the updates: those of adapted layers (`lora_only`)
// or all. Each adapter has its own; the base's stay as they are.

import { Parameter } from '../../core/parameter.ts'
import type { Adaptable } from '../../nn/adaptable.ts'
import type { Module } from '../../nn/module.ts'
import type { Extension, PartsRequest, PlannedPart } from '../extension.ts'
import { copied } from '../made_parameter.ts'
import { LoraModule } from '../module.ts'
import { baseOf, type PlannedLayer } from '../plan.ts'
import { giveOwn, saveVersion } from '../saved_module.ts'
import { fileKey } from '../state.ts'
import { isSaved, savedNames } from './modules.ts'

/** The option that trains biases. */
export interface BiasConfig {
  /** PEFT's `bias`: `none`, `lora_only` or `all`. */
  readonly bias?: 'none' | 'all' | 'lora_only'
}

const CHOICES: readonly unknown[] = ['none', 'all', 'lora_only']

/** The part of a layer that has updates: its bias becomes the adapter's own. */
function adaptedPart({ path }: PlannedLayer, bias: Parameter): PlannedPart {
  const key = fileKey(path, 'base_layer.bias')
  return {
    parameters: bias.size,
    shapes: new Map([[key, bias.shape]]),
    apply(model, adapterName, stored) {
      giveOwn(model, path, adapterName, 'bias', copied(bias, stored?.get(key)))
      return model
    },
  }
}

/** The part of a module without updates. */
function otherPart(path: string, bias: Parameter): PlannedPart {
  const key = fileKey(path, 'bias')
  return {
    parameters: bias.size,
    shapes: new Map([[key, bias.shape]]),
    apply(model, adapterName, stored) {
      const parameters = new Map([['bias', copied(bias, stored?.get(key))]])
      return saveVersion(model, path, adapterName, { parameters, trained: true })
    },
  }
}

function biasOf(module: Module): Parameter | undefined {
  const { bias } = module as Partial<Adaptable>
  return bias instanceof Parameter ? bias : undefined
}

function otherParts({ config, candidates, layers }: PartsRequest): PlannedPart[] {
  const adapted = new Set(layers.map(({ path }) => path))
  const saved = savedNames(config)
  return candidates.flatMap(({ path, module }) => {
    const bias = biasOf(module instanceof LoraModule ? module.base : module)
    const taken = adapted.has(path) || isSaved(path, saved)
    return bias && path !== '' && !taken ? otherPart(path, bias) : []
  })
}

function parts(request: PartsRequest): PlannedPart[] {
  const { bias = 'none' } = request.config
  if (bias === 'none') {
    return []
  }
  const adapted = request.layers.flatMap(planned => {
    const own = biasOf(baseOf(planned.layer))
    return own ? adaptedPart(planned, own) : []
  })
  return bias === 'all' ? [...adapted, ...otherParts(request)] : adapted
}

export const bias: Extension = {
  name: 'bias',
  options: {
    bias: value => (CHOICES.includes(value) ? undefined : `one of ${CHOICES.join(', ')}`),
  },
  parts,
}

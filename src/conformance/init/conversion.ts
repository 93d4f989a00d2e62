// An adapter trained from PiSSA or OLoRA, saved as plain LoRA: the file, its configuration, and the
// weight that both forms amount to.

import { Parameter } from '../../core/parameter.ts'
import type { Tensor } from '../../core/tensor.ts'
import { memoryDirectory, readJson } from '../../io/index.ts'
import {
  attach,
  convertToLora,
  type LoraModule,
  loraLayers,
  mergedLayer,
  onCpu,
} from '../../lora/index.ts'
import { type Adaptable, Module } from '../../nn/index.ts'
import { type Case, readTensors } from '../case.ts'
import { type Answered, type Check, checkEqual, compareTensor } from '../compare.ts'
import { type Answer, answered, stored, toleranceOf } from '../kind.ts'
import { LAYERS } from './start.ts'

class Holder extends Module {
  readonly layer: Adaptable

  constructor(layer: Adaptable) {
    super()
    this.layer = layer
  }

  forward(x: Tensor): Tensor {
    return this.layer.forward(x)
  }
}

/** The layer alone: A takes as many inputs as a Conv1D has rows, and a Linear columns. */
function baseOf(example: Case): Adaptable {
  const { shape, data } = stored(example, 'base.weight')
  const [, inputs] = stored(example, 'start.lora_A').shape
  const turned = example.json.fan_in_fan_out ?? inputs !== shape[1]
  const layer = LAYERS[turned ? 'conv1d' : 'linear'](shape)
  layer.weight = new Parameter(data, shape, { requiresGrad: false })
  return layer
}

/** The layer under the stored adapter, with the stored start in place of ours (signs are free). */
async function trainedModel(example: Case): Promise<{ model: Holder; layer: LoraModule }> {
  const { r, lora_alpha, use_rslora, init_lora_weights } = example.json
  const holder = new Holder(baseOf(example))
  const model = await onCpu(holder, () =>
    attach(holder, {
      r,
      loraAlpha: lora_alpha,
      useRslora: use_rslora,
      targetModules: ['layer'],
      initLoraWeights: init_lora_weights,
    }),
  )
  const [{ layer }] = loraLayers(model)
  const state = layer.adapters.get('default')
  state?.A.replace(stored(example, 'trained.lora_A').data)
  state?.B.replace(stored(example, 'trained.lora_B').data)
  state?.start?.A.replace(stored(example, 'start.lora_A').data)
  state?.start?.B.replace(stored(example, 'start.lora_B').data)
  return { model, layer }
}

export async function runConversion(example: Case): Promise<Answer> {
  const { model, layer } = await trainedModel(example)
  const directory = memoryDirectory()
  await convertToLora(model, directory)
  const saved = await readTensors(directory, 'adapter_model.safetensors')
  const merged = await onCpu(layer, () => mergedLayer(layer))
  const tensors: Record<string, Answered | undefined> = {
    'effective.weight': await answered(merged.weight),
  }
  for (const [key, value] of saved) {
    tensors[`saved.${key}`] = value
  }
  const config = (await readJson(directory, 'adapter_config.json')) as Record<string, unknown>
  return { tensors, json: { config } }
}

export function compareConversion(example: Case, answer: Answer, precision: 32 | 64): Check[] {
  const config = (answer.json?.config ?? {}) as Record<string, unknown>
  const wanted = example.json.saved_config as Record<string, unknown>
  const got = Object.fromEntries(Object.keys(wanted).map(key => [key, config[key]]))
  // The files and the weight before and after are float32, whatever computes.
  const tolerance = precision === 64 ? example.json.tolerance.f32 : toleranceOf(example, precision)
  const outputs = [...example.tensors.keys()].filter(name => /^(saved|effective)\./.test(name))
  return [
    checkEqual('saved_config', got, wanted),
    ...outputs.map(name =>
      compareTensor(name, answer.tensors[name], stored(example, name), tolerance),
    ),
  ]
}

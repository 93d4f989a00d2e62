// Two verbs that cannot be confused: `attach` makes a fresh adapter, `load` (files/peft.ts) reads
// one. Both plan first and change the model only when nothing can go wrong any more.

import { throwAll } from '../core/errors.ts'
import { Parameter } from '../core/parameter.ts'
import { nextDraw } from '../core/random_state.ts'
import type { Linear } from '../nn/linear.ts'
import type { Module } from '../nn/module.ts'
import { adapterConfigs, loraLayers, setAdapter } from './adapters.ts'
import type { LoraConfig } from './config.ts'
import { initialWeights } from './init/index.ts'
import { LoraLinear, type LoraState } from './linear.ts'
import { type Plan, type PlannedLayer, type PlanOptions, plan } from './plan.ts'

/** A single linear layer becomes its wrapper; a model stays what it is. */
export type Attached<M extends Module> = M extends Linear ? LoraLinear : M

export type AttachOptions = Pick<PlanOptions, 'adapterName'>

/** Elements of one adapter's matrices on one layer, or functions that make them on first use. */
export interface StateWeights {
  readonly A: ArrayLike<number> | (() => ArrayLike<number>)
  readonly B: ArrayLike<number> | (() => ArrayLike<number>)
  readonly bias?: ArrayLike<number>
}

function stateOf(
  planned: PlannedLayer,
  { config }: Plan,
  weights: StateWeights,
  wrapper: LoraLinear,
): LoraState {
  const { r, loraAlpha, scaling } = planned
  const { inFeatures, outFeatures } = wrapper
  const options = { backend: wrapper.base.weight.backend }
  return {
    r,
    loraAlpha,
    scaling,
    loraDropout: config.loraDropout,
    A: new Parameter(weights.A, [r, inFeatures], options),
    B: new Parameter(weights.B, [outFeatures, r], options),
    bias: config.loraBias
      ? new Parameter(weights.bias ?? new Float32Array(outFeatures), [outFeatures], options)
      : undefined,
  }
}

/** Puts a wrapper in the place of a layer and returns the module the caller goes on with. */
function replaceAt(model: Module, path: string, wrapper: LoraLinear): Module {
  const owner = model.ownerOf(path)
  owner?.[0].replaceMember(owner[1], wrapper)
  return owner ? model : wrapper
}

/** Carries a plan out; `weightsOf` gives the matrices of each layer. */
export function applyPlan(
  model: Module,
  made: Plan,
  weightsOf: (planned: PlannedLayer) => StateWeights,
): Module {
  throwAll('target', 'lora.attach', made.problems)
  let result = model
  for (const parameter of baseParameters(model)) {
    parameter.freeze()
  }
  for (const planned of made.layers) {
    const { layer, path } = planned
    const wrapper = layer instanceof LoraLinear ? layer : new LoraLinear(layer)
    wrapper.adapters.set(made.adapterName, stateOf(planned, made, weightsOf(planned), wrapper))
    if (wrapper !== layer) {
      result = replaceAt(result, path, wrapper)
    }
  }
  adapterConfigs(result).set(made.adapterName, {
    ...made.config,
    targetModules: made.targetModules,
  })
  return result
}

function baseParameters(model: Module): Parameter[] {
  const adapted = new Set<Parameter>()
  for (const { layer } of loraLayers(model)) {
    for (const { A, B, bias } of layer.adapters.values()) {
      for (const parameter of [A, B, bias]) {
        if (parameter) {
          adapted.add(parameter)
        }
      }
    }
  }
  return model.parameters().filter(parameter => !adapted.has(parameter))
}

/**
 * Freezes the model and gives the layers that `config` means a fresh adapter, which becomes the
 * default one. A model is changed in place and returned; a single linear layer returns its wrapper.
 * Throws `config` or `target` errors that list every problem, before anything is changed.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 *
 * const model = attach(new Linear(768, 768), { r: 8, loraAlpha: 16 })
 * console.log(model.trainable().map(parameter => parameter.shape)) // [[8, 768], [768, 8]]
 * ```
 */
export function attach<M extends Module>(
  model: M,
  config: LoraConfig = {},
  options: AttachOptions = {},
): Attached<M> {
  const made = plan(model, config, options)
  const { seed, stream } = nextDraw()
  const attached = applyPlan(model, made, ({ path, layer, r }) => {
    const { inFeatures, outFeatures } = layer
    const sizes = { path, inFeatures, outFeatures, r, seed, stream }
    return initialWeights(made.config.initLoraWeights, sizes)
  })
  setAdapter(attached, made.adapterName)
  return attached as Attached<M>
}

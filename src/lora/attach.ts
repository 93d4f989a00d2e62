// Two verbs that cannot be confused: `attach` makes a fresh adapter, `load` (files/peft.ts) reads
// one. Both plan first and change the model only when nothing can go wrong any more.

import { throwAll } from '../core/errors.ts'
import { Parameter } from '../core/parameter.ts'
import { nextDraw } from '../core/random_state.ts'
import type { Adaptable } from '../nn/adaptable.ts'
import type { Module } from '../nn/module.ts'
import { activate, adapterConfigs, holdersIn } from './adapters.ts'
import type { LoraConfig, PlainLoraConfig } from './config.ts'
import { type Draw, initialWeights } from './init/index.ts'
import { LoraModule } from './module.ts'
import { baseOf, type Plan, type PlannedLayer, type PlanOptions, plan } from './plan.ts'
import type { LoraState } from './state.ts'

/** A single layer becomes its wrapper; a model stays what it is. */
export type Attached<M extends Module> = M extends Adaptable ? LoraModule<M> : M

export type AttachOptions = Pick<PlanOptions, 'adapterName' | 'extensions'>

/** Elements of one adapter's matrices on one layer, or functions that make them on first use. */
export interface StateWeights {
  readonly A: ArrayLike<number> | Draw
  readonly B: ArrayLike<number> | Draw
  readonly bias?: ArrayLike<number>
  /** The pair that is subtracted. */
  readonly start?: Pick<StateWeights, 'A' | 'B'>
  /** Elements of a variant's parameters, by their names in PEFT's file; computed where absent. */
  readonly extra?: Readonly<Record<string, ArrayLike<number>>>
}

function stateOf(
  planned: PlannedLayer,
  { config }: Plan,
  weights: StateWeights,
  { base }: LoraModule,
): LoraState {
  const { r, loraAlpha, scaling, variant, frozen } = planned
  const { backend } = base.weight
  const options = { backend }
  const shapes = base.factorShapes(r)
  const { A, B, start } = weights
  const frozenOptions = { backend, requiresGrad: false }
  const O = base.outFeatures
  return {
    r,
    loraAlpha,
    scaling,
    loraDropout: config.loraDropout,
    // What of them is trained is up to whoever makes the adapter the default one.
    A: new Parameter(A, shapes.A, frozenOptions),
    B: new Parameter(B, shapes.B, frozenOptions),
    bias: config.loraBias
      ? new Parameter(weights.bias ?? new Float32Array(O), [O], options)
      : undefined,
    start: start && {
      A: new Parameter(start.A, shapes.A, frozenOptions),
      B: new Parameter(start.B, shapes.B, frozenOptions),
    },
    frozen,
    variant,
    split: variant?.split,
  }
}

/** A state with the parameters of its variant. */
function withExtra(layer: LoraModule, state: LoraState, weights: StateWeights): LoraState {
  const shapes = state.variant?.extraShapes?.(layer.base)
  if (!shapes) {
    return state
  }
  const data = weights.extra ?? state.variant?.extraStart?.(layer, state) ?? {}
  const { backend } = state.A
  const extra = Object.entries(shapes).map(([name, shape]) => {
    const start = data[name]
    return [name, start instanceof Parameter ? start : new Parameter(start, shape, { backend })]
  })
  return { ...state, extra: Object.fromEntries(extra) }
}

/** Puts a module in the place of another and returns the module the caller goes on with. */
export function replaceAt(model: Module, path: string, wrapper: Module): Module {
  const owner = model.ownerOf(path)
  owner?.[0].replaceMember(owner[1], wrapper)
  return owner ? model : wrapper
}

/** Carries a plan out; `weightsOf` gives the matrices of each layer, `stored` what a file has besides. */
export function applyPlan(
  model: Module,
  made: Plan,
  weightsOf: (planned: PlannedLayer) => StateWeights,
  stored?: ReadonlyMap<string, ArrayLike<number>>,
): Module {
  throwAll('target', 'lora.attach', made.problems)
  let result = model
  for (const parameter of baseParameters(model)) {
    parameter.freeze()
  }
  // All of them first: a start that fails, on a weight with NaN, must leave the model as it was.
  const starts = made.layers.map(planned => ({ planned, weights: weightsOf(planned) }))
  for (const { planned, weights } of starts) {
    const { layer, place } = planned
    const wrapper = layer instanceof LoraModule ? layer : new LoraModule(layer)
    const state = withExtra(wrapper, stateOf(planned, made, weights, wrapper), weights)
    wrapper.adapters.set(made.adapterName, state)
    result = replaceAt(result, place, wrapper)
  }
  for (const part of made.parts) {
    result = part.apply(result, made.adapterName, stored)
  }
  adapterConfigs(result).set(made.adapterName, {
    ...made.config,
    targetModules: made.targetModules,
  })
  return result
}

function baseParameters(model: Module): Parameter[] {
  const adapted = new Set(holdersIn(model).flatMap(({ holder }) => holder.held()))
  return model.parameters().filter(parameter => !adapted.has(parameter))
}

/** `attach` for every kind of configuration that the extensions serve. */
export function attachWith<M extends Module>(
  model: M,
  config: LoraConfig,
  options: AttachOptions,
): Attached<M> {
  const made = plan(model, config, options)
  const { seed, stream } = nextDraw()
  const attached = applyPlan(model, made, ({ path, layer, r, scaling }) => {
    const base = baseOf(layer)
    return initialWeights(made.config, { base, path, r, scaling, seed, stream }, options.extensions)
  })
  activate(attached, [made.adapterName])
  return attached as Attached<M>
}

/**
 * Freezes the model and gives the layers that `config` means a fresh adapter, which becomes the
 * default one. A model is changed in place and returned; a single layer returns its wrapper. Plain
 * LoRA only: DoRA, whole modules, trained tokens and further initialisations come with `attach` of
 * `lowrank/lora`, or one by one as `extensions`. Throws `config` or `target` errors that list every
 * problem, before anything is changed.
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
  config: PlainLoraConfig = {},
  options: AttachOptions = {},
): Attached<M> {
  return attachWith(model, config, options)
}

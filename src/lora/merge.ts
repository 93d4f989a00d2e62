// Folding adapters into plain weights: W' = W + Σ s·B·A. The base is kept, so that unmerging gives
// its bytes back exactly; `mergeAndUnload` is for those who will not.

import { type DType, isHalf } from '../core/dtype.ts'
import { throwAll } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import type { Tensor } from '../core/tensor.ts'
import type { Adaptable } from '../nn/adaptable.ts'
import type { Module } from '../nn/module.ts'
import { type AdapterSelection, namesOf } from './active.ts'
import { adapterConfigs, checkModel, holdersIn, loraLayers } from './adapters.ts'
import { Holder, type Unloading } from './holder.ts'
import { layerOf, mergedParts } from './merged.ts'
import { LoraModule } from './module.ts'
import type { LoraState } from './state.ts'

export interface MergeOptions {
  /** Refuses to merge where the result holds NaN or infinities, before anything is changed. */
  readonly safe?: boolean
}

/** What merging did to one layer. */
export interface MergedReport {
  readonly path: string
  readonly dtype: DType
  /** The share of the update that rounding to half precision lost, ‖rounded − exact‖ / ‖ΔW‖; else 0. */
  readonly rounding: number
}

interface Merged extends MergedReport {
  readonly holder: LoraModule
  readonly layer: Adaptable
}

/** What became of weights that layers may share: a later layer goes on from there. */
type Became = Map<Parameter, Parameter>

interface MergeAllOptions {
  readonly dtype?: DType
  /** The base itself where no adapter adds to it, which may be shared with another layer. */
  readonly inPlace?: boolean
  readonly became?: Became
}

/** The states and the weight of a layer whose weight another layer has merged into already. */
function whileWeight<T>(
  { base }: LoraModule,
  states: readonly LoraState[],
  weight: Parameter,
  fn: (states: readonly LoraState[]) => T,
): T {
  const before = base.weight
  base.weight = weight
  try {
    return fn(states.map(state => ({ ...state, own: { ...state.own, weight: undefined } })))
  } finally {
    base.weight = before
  }
}

function mergeAll(
  model: Module,
  selection: AdapterSelection,
  { dtype, inPlace, became }: MergeAllOptions = {},
): Merged[] {
  const names = namesOf(selection)
  checkModel('lora.merge', model, names ?? [])
  const merge = (): Merged[] =>
    loraLayers(model).map(({ path, layer: holder }) => {
      const states = holder.states(selection)
      const before = holder.base.weight
      const earlier = became?.get(before)
      const parts = earlier
        ? whileWeight(holder, states, earlier, states => mergedParts(holder, states))
        : mergedParts(holder, states)
      const isIdle = inPlace && states.length === 0 && dtype === undefined
      const layer = isIdle ? holder.base : layerOf(holder.base, parts, dtype)
      const { weight } = layer
      if (states.length > 0) {
        const own = states.flatMap(state => state.own?.weight ?? [])
        for (const parameter of [before, ...own]) {
          became?.set(parameter, weight)
        }
      }
      const rounding = isHalf(weight.dtype) ? lostShare(before, parts.weight, weight) : 0
      return { path, dtype: weight.dtype, rounding, holder, layer }
    })
  // Updates are added to the version of a layer that is saved whole.
  return holdersIn(model).reduceRight<() => Merged[]>(
    (next, { holder }) =>
      () =>
        holder.during?.(names, next) ?? next(),
    merge,
  )()
}

/** ‖rounded − exact‖ / ‖exact − base‖; 0 where nothing was added. */
function lostShare(base: Tensor, exact: Tensor, rounded: Tensor): number {
  const [before, wide, after] = [base, exact, rounded].map(x => x.dataSync())
  let lost = 0
  let added = 0
  for (let i = 0; i < wide.length; i++) {
    lost += (after[i] - wide[i]) * (after[i] - wide[i])
    added += (wide[i] - before[i]) * (wide[i] - before[i])
  }
  return added > 0 ? Math.sqrt(lost / added) : 0
}

function holdsNumbers({ weight, bias }: Adaptable): boolean {
  return [weight, bias].every(x => !x || x.dataSync().every(Number.isFinite))
}

/** Throws a `numeric` error that lists the layers which NaN or infinities are in. */
function checkFinite(merged: readonly Merged[]): void {
  const wrong = merged.filter(({ layer }) => !holdsNumbers(layer))
  throwAll(
    'numeric',
    'lora.merge',
    wrong.map(({ path }) => `"${path}" would hold NaN or infinities (is the adapter damaged?)`),
  )
}

const reportOf = ({ path, dtype, rounding }: Merged): MergedReport => ({ path, dtype, rounding })

/**
 * Computes W + Σ s·B·A once for every wrapped layer; calls that name no adapter use it from then on.
 * The base stays beside it: `unmerge` restores it bit for bit, as does every change of the adapters.
 * Returns what rounding cost. Throws a `target` error for an adapter that the model does not have, and
 * a `numeric` error if `safe` is set and a result is not finite.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { merge, unmerge } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(4, 4), { r: 2 })
 * const [{ dtype, rounding }] = merge(layer, 'default', { safe: true })
 * unmerge(layer)
 * console.log(dtype, rounding, layer.merged) // float32 0 undefined
 * ```
 */
export function merge(
  model: Module,
  selection?: AdapterSelection,
  options: MergeOptions = {},
): MergedReport[] {
  const merged = mergeAll(model, selection)
  if (options.safe) {
    checkFinite(merged)
  }
  for (const { holder, layer } of merged) {
    holder.unmerge()
    holder.merged = layer
  }
  return merged.map(reportOf)
}

/** Goes back to the base and its adapters. */
export function unmerge(model: Module): void {
  for (const { layer } of loraLayers(model)) {
    layer.unmerge()
  }
}

export interface MergeAndUnloadOptions extends MergeOptions {
  readonly adapter?: AdapterSelection
  /** The dtype of what is merged, and of whole modules and rows; that of the base if absent. */
  readonly dtype?: DType
  /**
   * Whether layers that share a weight go on sharing it, so that the update of an adapted embedding is
   * the output layer's too. That is what PEFT does; the merged model then gives other outputs than the
   * adapter did. False if absent: the layers part.
   */
  readonly keepTied?: boolean
}

/** Whole modules and rows that adapters have become the model's, the inner ones first. */
function unloadHolders(
  model: Module,
  { adapter: selection, dtype }: MergeAndUnloadOptions,
  put: (place: string, plain: Module) => void,
): void {
  const unloading: Unloading = { dtype, made: [] }
  for (;;) {
    const modules = [...model.namedModules()]
    const [place, holder] = modules.findLast(([, module]) => module instanceof Holder) ?? []
    if (place === undefined || !(holder instanceof Holder) || !holder.unloaded) {
      return
    }
    const names = namesOf(selection) ?? holder.active
    const name = names.findLast(name => holder.names().includes(name))
    put(place, holder.unloaded(name, unloading))
  }
}

/** Gives every layer of a shared weight what became of it last. */
function tieAgain(model: Module, merged: readonly Merged[], became: Became): void {
  const before = new Map(merged.map(({ holder, layer }) => [layer, holder.base.weight]))
  for (const [, module] of model.namedModules()) {
    const layer = module as Adaptable
    const weight = became.get(before.get(layer) ?? layer.weight)
    if (weight && layer.weight !== weight) {
      layer.weight = weight
    }
  }
}

/**
 * Replaces every wrapper by an ordinary layer with the merged weight and frees base and adapters.
 * Returns the model; for a single wrapped layer, the plain one.
 */
export function mergeAndUnload(model: Module, options: MergeAndUnloadOptions = {}): Module {
  let result = model
  const held = holdersIn(model).flatMap(({ holder }) => holder.held())
  const before = [...model.parameters(), ...held]
  const put = (place: string, plain: Module): void => {
    const owner = model.ownerOf(place)
    owner?.[0].replaceMember(owner[1], plain)
    result = owner ? model : plain
  }
  const became: Became | undefined = options.keepTied ? new Map() : undefined
  const merged = mergeAll(model, options.adapter, { dtype: options.dtype, inPlace: true, became })
  const made = merged.map(({ layer }) => layer.weight)
  if (options.safe) {
    checkFinite(merged)
  }
  const layers = new Map(merged.map(({ holder, layer }) => [holder, layer]))
  for (const [place, module] of [...model.namedModules()]) {
    if (module instanceof LoraModule) {
      module.unmerge()
      put(place, layers.get(module) as Adaptable)
    }
  }
  unloadHolders(result, options, put)
  if (became) {
    tieAgain(result, merged, became)
  }
  // A weight that another layer shares (a tied head) is still in use.
  const inUse = new Set(result.parameters())
  for (const parameter of [...before, ...made]) {
    if (!inUse.has(parameter)) {
      parameter.dispose()
    }
  }
  adapterConfigs(model).clear()
  return result
}

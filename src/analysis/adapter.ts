// What an adapter did to a whole model, layer by layer: ‖s·B·A‖_F, ‖W‖_F, their ratio, and the
// singular values of each s·B·A.

import { type AdapterSelection, namesOf } from '../lora/active.ts'
import { type LoraLayer, loraLayers } from '../lora/adapters.ts'
import { checkAdapters } from '../lora/module.ts'
import type { Module } from '../nn/module.ts'
import { ratioOf, weightNorm } from './change.ts'
import { effectiveRank, singularValues } from './spectrum.ts'
import { frobenius } from './update.ts'

export interface LayerChange {
  /** Where the layer is in the model; empty for a model that is a single layer. */
  readonly path: string
  readonly outFeatures: number
  readonly inFeatures: number
  /** The rank of the update; the sum of them where several adapters act together. */
  readonly r: number
  /** ‖s·B·A‖_F. */
  readonly deltaNorm: number
  /** ‖W‖_F. */
  readonly weightNorm: number
  /** ‖s·B·A‖_F / ‖W‖_F. */
  readonly relativeChange: number
  /** Of s·B·A, descending. */
  readonly singularValues: readonly number[]
  /** Of s·B·A, by Roy and Vetterli (2007). */
  readonly effectiveRank: number
}

async function changeOf(
  { path, layer }: LoraLayer,
  adapter: AdapterSelection,
): Promise<LayerChange | undefined> {
  const { outFeatures, inFeatures } = layer
  const states = layer.states(adapter)
  if (states.length === 0) {
    return undefined
  }
  const singular = await singularValues(states)
  const delta = frobenius(singular)
  const weight = await weightNorm(layer.base.weight)
  return {
    path,
    outFeatures,
    inFeatures,
    r: states.reduce((sum, { r }) => sum + r, 0),
    deltaNorm: delta,
    weightNorm: weight,
    relativeChange: ratioOf(delta, weight),
    singularValues: Array.from(singular),
    effectiveRank: effectiveRank(singular),
  }
}

/**
 * The change of every layer that an adapter is on, in the order of the model; of the active
 * adapters if none is named. Layers are read one after the other.
 *
 * Throws `target` for an adapter that does not exist or that changes the whole weight, as DoRA does,
 * `numeric` on NaN or infinity.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { adapterChanges } from 'lowrank/analysis'
 *
 * const layer = attach(new Linear(16, 8), { r: 2 })
 * const [{ r, deltaNorm, effectiveRank }] = await adapterChanges(layer)
 * console.log(r, deltaNorm, effectiveRank) // 2 0 0
 * ```
 */
export async function adapterChanges(
  model: Module,
  adapter?: AdapterSelection,
): Promise<LayerChange[]> {
  const layers = loraLayers(model)
  checkAdapters(
    'adapterChanges',
    layers.map(({ layer }) => layer),
    namesOf(adapter) ?? [],
  )
  const changes: LayerChange[] = []
  for (const layer of layers) {
    const change = await changeOf(layer, adapter)
    if (change) {
      changes.push(change)
    }
  }
  return changes
}

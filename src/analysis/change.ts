// How much an adapter changes a layer: ‖ΔW‖_F of ΔW = s·B·A [O, I], alone and as a share of ‖W‖_F.
// The norm is √Σσ² over the R singular values; ΔW is not formed. A bias of B is not part of it.

import type { Tensor } from '../core/tensor.ts'
import { type AdapterSelection, namesOf } from '../lora/active.ts'
import type { LoraModule } from '../lora/module.ts'
import { checkAdapters } from '../lora/module.ts'
import type { LoraState } from '../lora/state.ts'
import { frobenius, type LayerUpdate, svdOfUpdate } from './update.ts'

/**
 * ‖s·B·A‖_F, the size of the change that one adapter, or several together, make to a weight.
 *
 * Throws as `singularValues` does.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { deltaNorm } from 'lowrank/analysis'
 *
 * const layer = attach(new Linear(16, 8), { r: 2 })
 * console.log(await deltaNorm(layer.states())) // 0
 * ```
 */
export async function deltaNorm(update: LayerUpdate): Promise<number> {
  return frobenius((await svdOfUpdate('deltaNorm', update)).s)
}

/** The adapters that are asked for, or the active ones; throws `target` for an unknown name. */
export function chosenStates(
  where: string,
  layer: LoraModule,
  selection: AdapterSelection,
): LoraState[] {
  checkAdapters(where, [layer], namesOf(selection) ?? [])
  return layer.states(selection)
}

/** ‖W‖_F of a weight in any dtype. */
export async function weightNorm(weight: Tensor): Promise<number> {
  return frobenius(await weight.data())
}

/** ‖ΔW‖ / ‖W‖: 0 without a change, infinite where only W is zero. */
export function ratioOf(delta: number, weight: number): number {
  return delta === 0 ? 0 : delta / weight
}

/**
 * ‖s·B·A‖_F / ‖W‖_F: the change of a layer relative to the weight it is added to. Zero if no
 * adapter is active.
 *
 * Throws `target` for an adapter that the layer does not have or that changes the whole weight, as DoRA
 * does, `numeric` on NaN or infinity.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { relativeChange } from 'lowrank/analysis'
 *
 * const layer = attach(new Linear(16, 8), { r: 2, initLoraWeights: false })
 * console.log((await relativeChange(layer)) > 0) // true
 * ```
 */
export async function relativeChange(
  layer: LoraModule,
  adapter?: AdapterSelection,
): Promise<number> {
  const states = chosenStates('relativeChange', layer, adapter)
  const delta = states.length === 0 ? 0 : await deltaNorm(states)
  return ratioOf(delta, await weightNorm(layer.base.weight))
}

// What `attach` can do beyond plain LoRA on layers, in pieces that a bundle pays for only where they are
// named: `attach` of `lowrank` has none of them, `attach` of `lowrank/lora` all. An extension brings
// options of the configuration and what stands behind them.

import type { Shape } from '../core/shape.ts'
import type { Module } from '../nn/module.ts'
import type { LoraConfig, ResolvedConfig } from './config.ts'
import type { FactorDraws, Initial, InitLayer } from './init/index.ts'
import type { Candidate, Described, PlannedLayer } from './plan.ts'
import type { Variant } from './variant.ts'

/** What is wrong with the value of an option, as "expected …"; undefined for a good one. */
export type OptionCheck = (
  value: unknown,
  config: LoraConfig,
  extensions: readonly Extension[],
) => string | undefined

/** The layer that a fresh adapter is for. */
export type StartLayer = Pick<InitLayer, 'base' | 'r' | 'scaling'>

/** What an adapter has beside updates of layers: whole modules, biases, single tokens. */
export interface PlannedPart {
  /** What trains; an element more for each. */
  readonly parameters: number
  /** Its tensors in PEFT's file, by their keys below `base_model.model.`. */
  readonly shapes: ReadonlyMap<string, Shape>
  /** Puts it on the model, from elements of a file, or fresh. Returns the model. */
  apply(model: Module, adapterName: string, stored?: ReadonlyMap<string, ArrayLike<number>>): Module
}

/** What a plan of parts is made from. */
export interface PartsRequest {
  readonly model: Module & Described
  readonly config: ResolvedConfig
  readonly adapterName: string
  /** Every module that is not inside an adapted layer. */
  readonly candidates: readonly Candidate[]
  /** The layers that get updates. */
  readonly layers: readonly PlannedLayer[]
  /** Takes further problems. */
  readonly problems: string[]
}

export interface Extension {
  readonly name: string
  /** The options it brings, by name; one that is absent is not used. */
  readonly options?: Readonly<Record<string, OptionCheck>>
  /** Whether a layer that the targets do not mean is meant as well. */
  readonly adds?: (path: string, config: ResolvedConfig) => boolean
  /** Whether a layer that the targets mean is meant after all. */
  readonly selects?: (path: string, config: ResolvedConfig) => boolean
  /** What the configuration asks for beside updates of layers. */
  parts?(request: PartsRequest): PlannedPart[]
  /** The variant that a configuration asks for, if it is this one. */
  variant?(config: ResolvedConfig): Variant | undefined
  /** Which factor stays as it was drawn. */
  frozen?(config: ResolvedConfig): 'A' | 'B' | undefined
  /** Names of `initLoraWeights` that it brings; a pattern where there are many. */
  readonly initialisations?: readonly (string | RegExp)[]
  /** Why a fresh adapter cannot be put on a layer, as the end of a sentence. */
  refusal?(config: ResolvedConfig, layer: StartLayer): string | undefined
  /**
   * A start that is also subtracted from what the layer gives, so that the base counts without it. Found
   * again when an adapter is read, so it depends on the layer and its path alone.
   */
  takenFromBase?(config: ResolvedConfig, layer: InitLayer): FactorDraws | undefined
  /** Initial weights, if the configuration asks for those of this extension. */
  initialise?(config: ResolvedConfig, layer: InitLayer): Initial | undefined
}

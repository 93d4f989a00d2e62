// `attach` and `plan` with every option of PEFT's LoraConfig that this library knows.

import type { Module } from '../nn/module.ts'
import { type Attached, type AttachOptions, attachWith } from './attach.ts'
import type { LoraConfig } from './config.ts'
import { EXTENSIONS } from './extensions.ts'
import { withWholeRanks } from './options/fused.ts'
import { savedNames } from './options/modules.ts'
import { type Plan, type PlanOptions, plan as planWith } from './plan.ts'

/** The configuration as PEFT's file would have it: heads spelt out, ranks of fused layers whole. */
function spelt(config: LoraConfig): LoraConfig {
  const modulesToSave = savedNames(config)
  return withWholeRanks(modulesToSave.length > 0 ? { ...config, modulesToSave } : config)
}

/**
 * `attach` of `lowrank` with all variants, initialisations and options: freezes the model and gives
 * the layers that `config` means a fresh adapter, which becomes the default one. `extensions` are
 * those of your own. Throws `config` or `target` errors that list every problem, before anything is
 * changed.
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { attach } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(6, 4), { r: 2, useDora: true })
 * console.log(layer.trainable().map(({ shape }) => shape)) // [[2, 6], [4, 2], [4]]
 * ```
 */
export function attach<M extends Module>(
  model: M,
  config: LoraConfig = {},
  options: AttachOptions = {},
): Attached<M> {
  const extensions = [...(options.extensions ?? []), ...EXTENSIONS]
  return attachWith(model, spelt(config), { ...options, extensions })
}

/**
 * What `attach(model, config)` would do, without doing it: layers, ranks, parameters, and all
 * problems at once. Throws a `config` error only where the configuration itself is invalid.
 *
 * @example
 * ```ts
 * import { Linear } from 'lowrank'
 * import { plan } from 'lowrank/lora'
 *
 * const { trainable, total } = plan(new Linear(768, 768), { r: 8 })
 * console.log(trainable, total) // 12288 602880
 * ```
 */
export function plan(model: Module, config: LoraConfig = {}, options: PlanOptions = {}): Plan {
  const extensions = [...(options.extensions ?? []), ...EXTENSIONS]
  return planWith(model, spelt(config), { ...options, extensions })
}

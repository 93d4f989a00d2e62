// Whole adapters, layer by layer, wherever they are kept: on a model or in files. The result has one
// rank r, lora_alpha = r and plain scaling, so that what multiplies B·A is 1 (PEFT 0.21 keeps the
// first adapter's rank-stabilised scaling and so multiplies by √r).

import { LowrankError } from '../../core/errors.ts'
import { scalingOf } from '../config.ts'
import { combineLayer } from './layer.ts'
import type { Factors, MatrixShape } from './low_rank.ts'
import {
  type CombinedAdapter,
  type CombineOptions,
  combinedRank,
  combinedTargets,
  combineSettings,
} from './options.ts'

/** One adapter on one layer: A [r, cols], B [rows, r]; what multiplies B·A is `scaling`. */
export interface LayerFactors extends Factors, MatrixShape {
  readonly scaling: number
}

/** An adapter as numbers. */
export interface WholeAdapter extends CombinedAdapter {
  readonly useRslora: boolean
  /** Its layers by path. */
  readonly layers: ReadonlyMap<string, LayerFactors>
}

function checkName(name: string, adapters: readonly WholeAdapter[]): void {
  if (adapters.some(adapter => adapter.name === name)) {
    throw new LowrankError(
      'config',
      `combine: expected a new name, got "${name}", which is one of the adapters`,
    )
  }
}

function checkShapes(path: string, own: readonly LayerFactors[]): MatrixShape {
  const [{ rows, cols }] = own
  const other = own.find(layer => layer.rows !== rows || layer.cols !== cols)
  if (other) {
    throw new LowrankError(
      'shape',
      `combine: "${path}": expected adapters of one base, got layers of [${rows}, ${cols}] and ` +
        `[${other.rows}, ${other.cols}]`,
    )
  }
  return { rows, cols }
}

/**
 * Combines adapters of one base into one of rank `r`. Throws a `config` error that lists every
 * mistake in the options, `shape` if the adapters belong to different bases.
 */
export function combineWhole(
  name: string,
  adapters: readonly WholeAdapter[],
  options: CombineOptions,
): WholeAdapter {
  checkName(name, adapters)
  const settings = combineSettings('combine', options, adapters)
  const r = combinedRank(settings, adapters)
  const useRslora = options.peftRsloraScale === true && adapters[0].useRslora
  const scaling = scalingOf(r, r, useRslora)
  const layers = new Map<string, LayerFactors>()
  for (const path of new Set(adapters.flatMap(adapter => [...adapter.layers.keys()]))) {
    const parts = adapters.flatMap((adapter, i) => {
      const layer = adapter.layers.get(path)
      return layer ? [{ ...layer, name: adapter.name, weight: settings.weights[i] }] : []
    })
    const shape = checkShapes(path, parts)
    layers.set(path, { ...combineLayer(path, settings, parts, shape, r), ...shape, scaling })
  }
  return { name, r, targetModules: combinedTargets(adapters), useRslora, layers }
}

// Which initialisation a configuration names; each is one file. Draws are named by layer and matrix,
// so that adding a target changes no other layer's start. Those that need more than sizes come as
// extensions, so that plain LoRA does not carry them.

import { hashName, Random } from '../../core/rng.ts'
import type { Adaptable } from '../../nn/adaptable.ts'
import type { ResolvedConfig } from '../config.ts'
import type { Extension } from '../extension.ts'
import { kaiming } from './default.ts'
import { unset } from './unset.ts'

export type Draw = () => ArrayLike<number>

/** A [r, in] and B [out, r], made on first use, the same each time. */
export interface FactorDraws {
  readonly A: Draw
  readonly B: Draw
}

export interface Initial extends FactorDraws {
  /** What is to be subtracted, so that the base counts without the start. */
  readonly start?: FactorDraws
}

export interface InitContext {
  readonly inFeatures: number
  readonly outFeatures: number
  readonly r: number
  uniform(name: string, count: number, bound: number): Draw
  normal(name: string, count: number, deviation: number): Draw
}

/** A layer, what its adapter is to be, and where its draws come from. */
export interface InitLayer {
  /** The layer: its kind, its sizes as a matrix, its weight (oriented.ts reads it as [out, in]). */
  readonly base: Adaptable
  readonly path: string
  readonly r: number
  /** What B·A is multiplied by. */
  readonly scaling: number
  readonly seed: number
  readonly stream: number
}

/** The sizes of a layer and its draws. */
export function contextOf(layer: InitLayer): InitContext {
  const randomOf = (name: string): Random =>
    new Random(layer.seed, hashName(`${layer.stream}/${layer.path}/${name}`))
  const drawn = (name: string, count: number, next: (random: Random) => number): Draw => {
    return () => {
      const random = randomOf(name)
      return Float32Array.from({ length: count }, () => next(random))
    }
  }
  return {
    inFeatures: layer.base.inFeatures,
    outFeatures: layer.base.outFeatures,
    r: layer.r,
    uniform: (name, count, bound) =>
      drawn(name, count, random => (random.uniform() * 2 - 1) * bound),
    normal: (name, count, deviation) => drawn(name, count, random => random.normal() * deviation),
  }
}

/** PEFT starts embeddings from A zero and B normal, whatever the configuration says but `false`. */
function embeddingStart({ inFeatures, outFeatures, r, normal }: InitContext): Initial {
  return {
    A: () => new Float32Array(r * inFeatures),
    B: normal('lora_B', outFeatures * r, 1),
  }
}

/** The start that the configuration asks for; extensions come first. */
export function initialWeights(
  config: ResolvedConfig,
  layer: InitLayer,
  extensions: readonly Extension[] = [],
): Initial {
  for (const extension of extensions) {
    const start = extension.takenFromBase?.(config, layer)
    const initial = start ? { ...start, start } : extension.initialise?.(config, layer)
    if (initial) {
      return initial
    }
  }
  const context = contextOf(layer)
  const { initLoraWeights: init } = config
  if (!init) {
    return unset(context)
  }
  if (layer.base.kind === 'embedding') {
    return embeddingStart(context)
  }
  return kaiming(context)
}

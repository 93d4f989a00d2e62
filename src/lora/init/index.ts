// Which initialisation a configuration names; each is one file. Draws are named by layer and matrix,
// so that adding a target changes no other layer's start. Those that need more than sizes come as
// extensions, so that plain LoRA does not carry them.

import type { Draw as RandomDraw } from '../../core/random_state.ts'
import { hashName } from '../../core/rng.ts'
import { countOf } from '../../core/shape.ts'
import type { Adaptable } from '../../nn/adaptable.ts'
import { uniforms } from '../../nn/uniform.ts'
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
  /** Elements of B: out·r, or fewer where groups of a convolution share the rank. */
  readonly sizeB: number
  /** The stream of a matrix. */
  draw(name: string): RandomDraw
  uniform(name: string, count: number, bound: number): Draw
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
export function contextOf({ base, path, r, seed, stream }: InitLayer): InitContext {
  const draw = (name: string): RandomDraw => {
    return { seed, stream: hashName(`${stream}/${path}/${name}`) }
  }
  return {
    inFeatures: base.inFeatures,
    outFeatures: base.outFeatures,
    r,
    sizeB: countOf(base.factorShapes(r).B),
    draw,
    uniform: (name, count, bound) => () => uniforms(draw(name), count, bound),
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
  if (!config.initLoraWeights) {
    return unset(context)
  }
  return layer.base.factorStart?.(layer.r, context.draw('lora_B')) ?? kaiming(context)
}

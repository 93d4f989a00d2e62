// Which initialisation a configuration names; each is one file. Draws are named by layer and matrix,
// so that adding a target changes no other layer's start.

import { hashName, Random } from '../../core/rng.ts'
import type { ResolvedConfig } from '../config.ts'
import { kaiming } from './default.ts'
import { gaussian } from './gaussian.ts'
import { unset } from './unset.ts'

type Draw = () => Float32Array

/** A [r, in] and B [out, r], drawn on first use. */
export interface Initial {
  readonly A: Draw
  readonly B: Draw
}

export interface InitContext {
  readonly inFeatures: number
  readonly outFeatures: number
  readonly r: number
  uniform(name: string, count: number, bound: number): Draw
  normal(name: string, count: number, deviation: number): Draw
}

/** The sizes of a layer and where its draws come from. */
export interface InitLayer {
  readonly path: string
  readonly inFeatures: number
  readonly outFeatures: number
  readonly r: number
  readonly seed: number
  readonly stream: number
}

function contextOf(layer: InitLayer): InitContext {
  const randomOf = (name: string): Random =>
    new Random(layer.seed, hashName(`${layer.stream}/${layer.path}/${name}`))
  const drawn = (name: string, count: number, next: (random: Random) => number): Draw => {
    return () => {
      const random = randomOf(name)
      return Float32Array.from({ length: count }, () => next(random))
    }
  }
  return {
    inFeatures: layer.inFeatures,
    outFeatures: layer.outFeatures,
    r: layer.r,
    uniform: (name, count, bound) =>
      drawn(name, count, random => (random.uniform() * 2 - 1) * bound),
    normal: (name, count, deviation) => drawn(name, count, random => random.normal() * deviation),
  }
}

export function initialWeights(init: ResolvedConfig['initLoraWeights'], layer: InitLayer): Initial {
  const context = contextOf(layer)
  if (init === 'gaussian') {
    return gaussian(context)
  }
  return init ? kaiming(context) : unset(context)
}

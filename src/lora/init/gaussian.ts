// `gaussian`: A normal with standard deviation 1/r, B zero (Hu et al. 2021, arXiv 2106.09685,
// section 4.1, with the scale that PEFT and the authors' code use).

import { Random } from '../../core/rng.ts'
import type { Extension } from '../extension.ts'
import { contextOf, type InitContext, type Initial } from './index.ts'
import { asksFor } from './oriented.ts'

export function gaussian({ inFeatures, r, sizeB, draw }: InitContext): Initial {
  const { seed, stream } = draw('lora_A')
  return {
    A: () => {
      const random = new Random(seed, stream)
      return Float32Array.from({ length: r * inFeatures }, () => random.normal() * (1 / r))
    },
    B: () => new Float32Array(sizeB),
  }
}

/** PEFT takes it in any case. */
const NAME = /^gaussian$/i

/** `initLoraWeights: 'gaussian'`. */
export const gaussianStart: Extension = {
  name: 'gaussian',
  initialisations: [NAME],
  initialise(config, layer) {
    const meant = asksFor(config, NAME) && layer.base.kind !== 'embedding'
    return meant ? gaussian(contextOf(layer)) : undefined
  },
}

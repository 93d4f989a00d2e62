// `false` on an embedding: A and B normal with deviation 1, as PEFT leaves them.
// Source: PEFT 0.21, `Embedding.update_layer`.

import type { Draw as Place } from '../../core/random_state.ts'
import { Random } from '../../core/rng.ts'
import type { Extension } from '../extension.ts'
import { contextOf, type Draw } from './index.ts'

function normals({ seed, stream }: Place, count: number): Draw {
  return () => {
    const random = new Random(seed, stream)
    return Float32Array.from({ length: count }, () => random.normal())
  }
}

/** `initLoraWeights: false` where the layer is an embedding. */
export const unsetEmbedding: Extension = {
  name: 'unset embedding',
  initialise(config, layer) {
    if (config.initLoraWeights !== false || layer.base.kind !== 'embedding') {
      return undefined
    }
    const { inFeatures, outFeatures, r, draw } = contextOf(layer)
    return {
      A: normals(draw('lora_A'), r * inFeatures),
      B: normals(draw('lora_B'), outFeatures * r),
    }
  },
}

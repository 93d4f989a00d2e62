// `false`: both matrices drawn as a linear layer's weights are, so that a fresh adapter changes the
// model; for tests, not for training.

import type { InitContext, Initial } from './index.ts'

export function unset({ inFeatures, outFeatures, r, sizeB, uniform }: InitContext): Initial {
  return {
    A: uniform('lora_A', r * inFeatures, 1 / Math.sqrt(inFeatures)),
    B: uniform('lora_B', sizeB, 1 / Math.sqrt(sizeB / outFeatures)),
  }
}

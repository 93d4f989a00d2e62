// PEFT's default: A uniform in ±1/√in, which is Kaiming initialisation with a = √5 (He et al. 2015,
// arXiv 1502.01852), and B zero, so that a fresh adapter changes nothing.

import type { InitContext, Initial } from './index.ts'

export function kaiming({ inFeatures, r, sizeB, uniform }: InitContext): Initial {
  return {
    A: uniform('lora_A', r * inFeatures, 1 / Math.sqrt(inFeatures)),
    B: () => new Float32Array(sizeB),
  }
}

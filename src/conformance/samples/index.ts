// At least one sample of every op that is exported.

import { elementwiseSamples } from './elementwise.ts'
import { productSamples } from './products.ts'
import { reductionSamples } from './reductions.ts'
import type { Sample } from './sample.ts'

export const SAMPLES: readonly Sample[] = [
  ...elementwiseSamples,
  ...reductionSamples,
  ...productSamples,
]
export { draw, inputsOf, isDifferentiated, type Sample, sampleName } from './sample.ts'

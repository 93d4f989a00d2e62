// The optimizers' part of a fingerprint: parameters [5, 3] and [7] after five steps on drawn gradients
// with clipping, under every option that takes a kernel another way.

import { Parameter } from '../core/parameter.ts'
import { Random } from '../core/rng.ts'
import {
  Adafactor,
  Adam,
  AdamW,
  clipGradNorm,
  type Optimizer,
  SGD,
  TransformersAdafactor,
} from '../optim/index.ts'
import type { FingerprintStage } from './fingerprint.ts'
import { Hash } from './hash.ts'
import { setGradient } from './optim/gradient.ts'

type Make = (params: Parameter[]) => Optimizer

/** Every optimizer, under its exported name and perhaps a variant. */
export const OPTIMIZER_SAMPLES: Readonly<Record<string, Make>> = {
  SGD: params => new SGD(params, { lr: 0.1 }),
  'SGD with momentum': params =>
    new SGD(params, { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01 }),
  Adam: params => new Adam(params, { lr: 0.01, weightDecay: 0.01 }),
  AdamW: params => new AdamW(params, { lr: 0.01, weightDecay: 0.1 }),
  'AdamW with amsgrad': params => new AdamW(params, { lr: 0.01, amsgrad: true }),
  Adafactor: params => new Adafactor(params, { lr: 0.01, weightDecay: 0.1 }),
  TransformersAdafactor: params => new TransformersAdafactor(params, {}),
}

const SHAPES = [[5, 3], [7]] as const
const STEPS = 5
const NORMS = [2, 1, 3, Number.POSITIVE_INFINITY]

function drawn(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)
}

async function hashOptimizer(name: string, make: Make, seed: number): Promise<string> {
  const random = new Random(seed, `optimizer ${name}`)
  const counts = SHAPES.map(shape => shape.reduce((n: number, size) => n * size, 1))
  const parameters = SHAPES.map((shape, i) => new Parameter(drawn(random, counts[i]), shape))
  const optimizer = make(parameters)
  const hash = new Hash()
  for (let n = 0; n < STEPS; n++) {
    optimizer.zeroGrad()
    parameters.forEach((parameter, i) => {
      setGradient(parameter, drawn(random, counts[i]))
    })
    const norm = clipGradNorm(parameters, 1.5, { normType: NORMS[n % NORMS.length] })
    hash.add(await norm.data())
    optimizer.step()
  }
  for (const parameter of parameters) {
    hash.add(await parameter.data())
    parameter.dispose()
  }
  return hash.text()
}

export async function fingerprintOptimizers(seed: number): Promise<FingerprintStage[]> {
  const stages: FingerprintStage[] = []
  for (const [name, make] of Object.entries(OPTIMIZER_SAMPLES)) {
    stages.push({ name: `optimizer ${name}`, hash: await hashOptimizer(name, make, seed) })
  }
  return stages
}

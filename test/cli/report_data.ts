// A run that never was, of any size, as the report gets it.

import type { LayerChange } from '../../src/analysis/index.ts'
import type { ReportData } from '../../src/cli/report/data.ts'
import { exp } from '../../src/core/math.ts'
import { Random } from '../../src/core/rng.ts'
import type { Prediction } from '../../src/train/index.ts'

export interface MadeUpRun {
  readonly blocks?: number
  readonly r?: number
  readonly steps?: number
  readonly evals?: number
  readonly samples?: number
}

const PROJECTIONS: readonly (readonly [string, number, number])[] = [
  ['self_attn.q_proj', 128, 128],
  ['self_attn.k_proj', 64, 128],
  ['self_attn.v_proj', 64, 128],
  ['self_attn.o_proj', 128, 128],
  ['mlp.gate_proj', 384, 128],
  ['mlp.up_proj', 384, 128],
  ['mlp.down_proj', 128, 384],
]

export function madeUpLayers(blocks: number, r: number): LayerChange[] {
  const random = new Random(7)
  return Array.from({ length: blocks }, (_, block) =>
    PROJECTIONS.map(([name, outFeatures, inFeatures], at): LayerChange => {
      const first = 0.4 + random.uniform() + (1.5 * block) / blocks + 0.2 * at
      const fall = 0.3 + 0.4 * random.uniform()
      const singularValues = Array.from({ length: r }, (_, i) => first * exp(-fall * i))
      const deltaNorm = Math.sqrt(singularValues.reduce((sum, s) => sum + s * s, 0))
      const weightNorm = Math.sqrt(outFeatures) * 2
      return {
        path: `model.layers.${block}.${name}`,
        outFeatures,
        inFeatures,
        r,
        deltaNorm,
        weightNorm,
        relativeChange: deltaNorm / weightNorm,
        singularValues,
        effectiveRank: 1 + (r - 1) * (1 - fall),
      }
    }),
  ).flat()
}

const PROMPTS: readonly (readonly [string, string, string, string])[] = [
  [
    'dim the snug lantern to thirty percent at nine',
    '{"tool":"light","room":"snug","device":"lantern","level":30,"time":"21:00"}',
    '{"tool":"light","room":"hall","device":"lamp","level":30,"time":"09:00"}',
    '{"tool":"light","room":"snug","device":"lantern","level":30,"time":"21:00"}',
  ],
  [
    'run the bath in the attic',
    '{"tool":"water","room":"attic","device":"bath","on":true}',
    'light light room',
    '{"tool":"water","room":"attic","device":"bath"}',
  ],
  ['is the back gate shut', '{"tool":"query","device":"back gate"}', '', '{"tool":"query"}'],
]

function predictions(count: number, trained: boolean): Prediction[] {
  return Array.from({ length: count }, (_, i) => {
    const [prompt, want, before, after] = PROMPTS[i % PROMPTS.length]
    const got = trained ? after : before
    return { prompt, want, got, exact: got === want }
  })
}

export function madeUpReport(made: MadeUpRun = {}): ReportData {
  const { blocks = 4, r = 8, steps = 240, evals = 6, samples = 3 } = made
  const random = new Random(3)
  const level = (step: number): number => 0.04 + 2.4 * exp(-step / (steps / 6))
  const losses = Array.from({ length: steps }, (_, i) => level(i) * (0.7 + 0.6 * random.uniform()))
  const held = Array.from({ length: evals }, (_, i) => Math.round(((i + 1) * steps) / evals))
  const layers = madeUpLayers(blocks, r)
  const trainable = layers.reduce((sum, l) => sum + l.r * (l.outFeatures + l.inFeatures), 0)
  return {
    args: {
      model: 'examples/house/model',
      data: 'examples/house/data/train.jsonl',
      evalData: evals > 0 ? 'examples/house/data/held-out.jsonl' : undefined,
      out: 'out/adapter',
      r,
      loraAlpha: 16,
      loraDropout: 0,
      useRslora: false,
      lr: 0.002,
      epochs: 6,
      batchSize: 16,
      gradientAccumulationSteps: 1,
      weightDecay: 0,
      maxGradNorm: 1,
      schedule: 'linear',
      warmupRatio: 0.03,
      seed: 0,
      samples,
      resume: false,
      overwrite: false,
    },
    run: {
      steps,
      totalSteps: steps,
      losses,
      evals: held.map((step, i) => ({
        step,
        loss: 1.1 * level(step) + (i === evals - 1 ? 0.05 : 0),
        best: i < evals - 1,
      })),
      warnings: [],
      bestStep: evals > 1 ? held[evals - 2] : steps,
      tokens: 180 * steps,
      seconds: 0.14 * steps,
    },
    plan: {
      batch: 16,
      tokens: 48,
      base: 2_620_000,
      trainable: 4 * trainable,
      gradients: 4 * trainable,
      optimizer: 8 * trainable,
      step: 9_800_000,
      total: 12_420_000 + 16 * trainable,
    },
    peak: 12_750_000 + 16 * trainable,
    before: predictions(samples, false),
    after: predictions(samples, true),
    modelType: 'llama',
    trainable,
    total: 1_310_000 + trainable,
    layers,
  }
}

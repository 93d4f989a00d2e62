// Adafactor as transformers (and fairseq before it) has it: by default without a learning rate, with
// an epsilon inside the averages, and with an optional first moment. The loops are in
// adafactor_kernels.ts. Source: transformers.optimization.Adafactor.

import type { Shape } from '../core/shape.ts'
import {
  advanceAdafactor,
  epsilonProblems,
  type FactorNames,
  updateAdafactor,
} from './adafactor.ts'
import { outOfRange, type RateOptions, type Trainables } from './group.ts'
import { type Algorithm, Optimizer } from './optimizer.ts'

/** Options of `TransformersAdafactor`; defaults are those of transformers. */
export interface TransformersAdafactorOptions extends RateOptions {
  /** The learning rate; only with `relativeStep` false, and then needed. */
  readonly lr: number
  /** Added to squares of gradients (1e-30 by default), the least size of a parameter (1e-3). */
  readonly eps: readonly [number, number]
  /** The largest root mean square of an update before it is scaled; 1 by default. */
  readonly clipThreshold: number
  /** The average of squares at step t takes t^decayRate of the new ones; -0.8 by default. */
  readonly decayRate: number
  /** Decay of the average of updates; `null`, the default, keeps none. */
  readonly beta1: number | null
  /** Decay apart from the gradient, times the rate in use; 0 by default. */
  readonly weightDecay: number
  /** Multiplies the rate by the root mean square of the parameter; true by default. */
  readonly scaleParameter: boolean
  /** Takes min(0.01, 1/√t) as the rate of step t; true by default. */
  readonly relativeStep: boolean
  /** With `relativeStep`: takes min(1e-6·t, 1/√t). */
  readonly warmupInit: boolean
}

/** Shapes of a matrix's two factors as transformers keeps them, or of a vector's squares. */
function factorShapes(shape: Shape): Record<string, Shape> {
  if (shape.length < 2) {
    return { exp_avg_sq: shape }
  }
  return {
    exp_avg_sq_row: shape.slice(0, -1),
    exp_avg_sq_col: [...shape.slice(0, -2), shape[shape.length - 1]],
  }
}

function rateProblems(options: TransformersAdafactorOptions): string[] {
  const { lr, relativeStep, warmupInit } = options
  const problems = outOfRange('lr', lr, 0)
  if (relativeStep && lr !== 0) {
    problems.push(`relativeStep finds the rate itself, got lr ${lr} (set relativeStep: false)`)
  }
  if (!relativeStep && lr === 0) {
    problems.push('without relativeStep an lr above 0 is needed')
  }
  if (warmupInit && !relativeStep) {
    problems.push('warmupInit needs relativeStep')
  }
  return problems
}

const names: FactorNames = {
  row: 'exp_avg_sq_row',
  col: 'exp_avg_sq_col',
  vector: 'exp_avg_sq',
}

const transformersAdafactor: Algorithm<TransformersAdafactorOptions> = {
  name: 'TransformersAdafactor',
  defaults: {
    lr: 0,
    eps: [1e-30, 1e-3],
    clipThreshold: 1,
    decayRate: -0.8,
    beta1: null,
    weightDecay: 0,
    scaleParameter: true,
    relativeStep: true,
    warmupInit: false,
  },

  problems(options) {
    const { eps, clipThreshold, decayRate, beta1, weightDecay } = options
    const problems = [
      ...rateProblems(options),
      ...epsilonProblems(eps),
      ...outOfRange('weightDecay', weightDecay, 0),
      ...(beta1 === null ? [] : outOfRange('beta1', beta1, 0, 1)),
    ]
    if (!(clipThreshold > 0)) {
      problems.push(`clipThreshold must be above 0, got ${clipThreshold}`)
    }
    if (!(decayRate <= 0)) {
      problems.push(`decayRate must be 0 or less, got ${decayRate}`)
    }
    return problems
  },

  state(shape, { beta1 }) {
    const factors = factorShapes(shape)
    return beta1 === null ? factors : { exp_avg: shape, ...factors }
  },

  advance(context, first, count, { decayRate }) {
    advanceAdafactor(context, first, count, decayRate)
  },

  update(context, target, options) {
    const { eps, clipThreshold, beta1, weightDecay, scaleParameter, relativeStep } = options
    const relativeRate = options.warmupInit ? 1e-6 : 1e-2
    updateAdafactor(context, target, names, {
      lr: relativeStep ? relativeRate : options.lr,
      relative: relativeStep ? (options.warmupInit ? 2 : 1) : 0,
      scaled: scaleParameter,
      squareEpsilon: eps[0],
      scaleEpsilon: eps[1],
      floor: 0,
      threshold: clipThreshold,
      beta1: beta1 ?? undefined,
      decay: 0,
      relativeDecay: weightDecay,
      maximize: false,
    })
  },
}

/**
 * Adafactor in the variant of transformers: without options it finds its own learning rate. Throws
 * one `argument` error that lists everything wrong with parameters and options.
 *
 * @example
 * ```ts
 * import { Parameter, TransformersAdafactor } from 'lowrank'
 *
 * const w = new Parameter([0.5, 0.5], [2, 1])
 * const external = { lr: 1e-3, relativeStep: false, scaleParameter: false }
 * console.log(new TransformersAdafactor([w], external).groups[0].lr) // 0.001
 * ```
 */
export class TransformersAdafactor extends Optimizer<TransformersAdafactorOptions> {
  constructor(
    trainables: Trainables<TransformersAdafactorOptions>,
    options: Partial<TransformersAdafactorOptions> = {},
  ) {
    super(transformersAdafactor, trainables, options)
  }
}

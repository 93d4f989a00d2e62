// Adafactor as PyTorch has it: second moments of a matrix kept as one factor per row and one per
// column, steps relative to the size of the parameter, at most lr and 1/√t of it. The loops are in
// adafactor_kernels.ts. Source: torch.optim.Adafactor.

import type { Shape } from '../core/shape.ts'
import { adafactorKernels } from './adafactor_kernels.ts'
import { outOfRange, type RateOptions, type Trainables } from './group.ts'
import { type Algorithm, Optimizer, type StepContext, type Target } from './optimizer.ts'

/** Options of `Adafactor`; defaults are PyTorch's. */
export interface AdafactorOptions extends RateOptions {
  /** The average of squares at step t takes t^beta2Decay of the new ones; -0.8 by default. */
  readonly beta2Decay: number
  /** The least root of a variance (2⁻²³ by default), the least size of a parameter (1e-3). */
  readonly eps: readonly [number, number]
  /** The largest root mean square of an update before it is scaled; 1 by default. */
  readonly d: number
  /** Decay apart from the gradient, times lr; 0 by default. */
  readonly weightDecay: number
  /** Climbs instead of descending. */
  readonly maximize: boolean
}

/** What the two Adafactors differ in, as the kernels take it. */
export interface AdafactorTerms {
  readonly lr: number
  /** 0: lr, 1: min(lr, 1/√t), 2: min(lr·t, 1/√t). */
  readonly relative: number
  readonly scaled: boolean
  /** Added to squares. */
  readonly squareEpsilon: number
  /** The least size of a parameter. */
  readonly scaleEpsilon: number
  readonly floor: number
  readonly threshold: number
  readonly beta1: number | undefined
  readonly decay: number
  readonly relativeDecay: number
  readonly maximize: boolean
}

/** State names: row factor, column factor, variances of a vector. */
export interface FactorNames {
  readonly row: string
  readonly col: string
  readonly vector: string
}

/** A first epsilon of 0 would divide 0 by 0 where a gradient is 0. */
export function epsilonProblems(eps: readonly [number, number]): string[] {
  if (!Array.isArray(eps) || eps.length !== 2) {
    return [`eps must be two numbers, got ${String(eps)}`]
  }
  const problems = [...outOfRange('eps[0]', eps[0], 0), ...outOfRange('eps[1]', eps[1], 0)]
  return eps[0] === 0 ? [...problems, 'eps[0] must be above 0, got 0'] : problems
}

function matrixOf(shape: Shape): readonly [batch: number, rows: number, cols: number] {
  const rank = shape.length
  if (rank < 2) {
    return [1, 1, shape[0] ?? 1]
  }
  const batch = shape.slice(0, -2).reduce((product, size) => product * size, 1)
  return [batch, shape[rank - 2], shape[rank - 1]]
}

/** Counts a step and decays the weight of old averages. */
export function advanceAdafactor(
  { backend, clocks, control }: StepContext,
  first: number,
  count: number,
  decay: number,
): void {
  backend.kernels(adafactorKernels).adafactor_advance(clocks, first, count, control, decay)
}

/** One parameter's step, by the four kernels in turn. */
export function updateAdafactor(
  { backend, clocks, control }: StepContext,
  target: Target,
  names: FactorNames,
  terms: AdafactorTerms,
): void {
  const kernels = backend.kernels(adafactorKernels)
  const { parameter: p, gradient: g, index, state, shape } = target
  const [batch, rows, cols] = matrixOf(shape)
  const factored = shape.length > 1
  const col = factored ? state[names.col] : state[names.vector]
  // A vector has no row factor: any buffer does, it is not read.
  const row = factored ? state[names.row] : col
  const clock = [clocks, index, control] as const
  if (factored) {
    kernels.adafactor_rows(g, row, batch * rows, cols, ...clock, terms.squareEpsilon)
  }
  const scratch = backend.scratch(2 * cols)
  kernels.adafactor_columns(g, col, batch, rows, cols, ...clock, terms.squareEpsilon, scratch)
  const size = [Number(factored), batch, rows, cols] as const
  kernels.adafactor_scale(
    p,
    g,
    row,
    col,
    ...size,
    ...clock,
    terms.lr,
    terms.relative,
    Number(terms.scaled),
    terms.scaleEpsilon,
    terms.floor,
    terms.threshold,
  )
  kernels.adafactor_apply(
    p,
    g,
    row,
    col,
    state.exp_avg ?? col,
    ...size,
    ...clock,
    Number(terms.beta1 !== undefined),
    terms.beta1 ?? 0,
    terms.decay,
    terms.relativeDecay,
    terms.floor,
    Number(terms.maximize),
  )
}

/** Shapes of a matrix's two factors as PyTorch keeps them, or of a vector's variances. */
function factorShapes(shape: Shape): Record<string, Shape> {
  if (shape.length < 2) {
    return { variance: shape }
  }
  const leading = shape.slice(0, -2)
  const [rows, cols] = shape.slice(-2)
  return { row_var: [...leading, rows, 1], col_var: [...leading, 1, cols] }
}

const names: FactorNames = { row: 'row_var', col: 'col_var', vector: 'variance' }

const adafactor: Algorithm<AdafactorOptions> = {
  name: 'Adafactor',
  defaults: {
    lr: 1e-2,
    beta2Decay: -0.8,
    eps: [1.1920928955078125e-7, 1e-3],
    d: 1,
    weightDecay: 0,
    maximize: false,
  },

  problems({ lr, beta2Decay, eps, d, weightDecay }) {
    const problems = [
      ...outOfRange('lr', lr, 0),
      ...outOfRange('d', d, 1),
      ...outOfRange('weightDecay', weightDecay, 0),
      ...epsilonProblems(eps),
    ]
    return beta2Decay <= 0
      ? problems
      : [...problems, `beta2Decay must be 0 or less, got ${beta2Decay}`]
  },

  state: factorShapes,

  advance(context, first, count, { beta2Decay }) {
    advanceAdafactor(context, first, count, beta2Decay)
  },

  update(context, target, { lr, eps, d, weightDecay, maximize }) {
    updateAdafactor(context, target, names, {
      lr,
      relative: 1,
      scaled: true,
      squareEpsilon: 0,
      scaleEpsilon: eps[1],
      floor: eps[0],
      threshold: d,
      beta1: undefined,
      decay: lr * weightDecay,
      relativeDecay: 0,
      maximize,
    })
  },
}

/**
 * Adafactor: its state is a row and a column per matrix, where Adam keeps two matrices. Throws one
 * `argument` error that lists everything wrong with parameters and options.
 *
 * @example
 * ```ts
 * import { Adafactor, backward, matmul, Parameter, reshape, stateDict, step, tensor } from 'lowrank'
 *
 * const w = new Parameter([0.5, 0.5], [2, 1])
 * const optimizer = new Adafactor([w], { lr: 0.01 })
 * step(() => backward(reshape(matmul(tensor([1, -2], [1, 2]), w), [])))
 * optimizer.step()
 * console.log((await stateDict(optimizer)).tensors['0.row_var'].shape) // [2, 1]
 * ```
 */
export class Adafactor extends Optimizer<AdafactorOptions> {
  constructor(trainables: Trainables<AdafactorOptions>, options: Partial<AdafactorOptions> = {}) {
    super(adafactor, trainables, options)
  }
}

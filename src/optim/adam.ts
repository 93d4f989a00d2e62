// Adam, per element, and the kernels that AdamW shares:
//   g' = ±factor·g + weightDecay·p          (Adam; AdamW: p = p·(1 − lr·weightDecay), g' = ±factor·g)
//   m  = β₁m + (1 − β₁)g',  v = β₂v + (1 − β₂)g'²
//   p  = p − lr/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)     (amsgrad: the largest v so far)
// Sources: Kingma, Ba, "Adam" (arXiv 1412.6980); Reddi, Kale, Kumar, "On the convergence of Adam
// and beyond" (arXiv 1904.09237); torch.optim.Adam.

import type { Floats, KernelSet } from '../core/backend.ts'
import { CLOCK_SIZE, gradientFactor, refused, wholePower } from './control.ts'
import { outOfRange, type RateOptions, type Trainables } from './group.ts'
import { type Algorithm, Optimizer, type StepContext, type Target } from './optimizer.ts'

type Coefficients = [
  clocks: Floats,
  index: number,
  control: Floats,
  lr: number,
  beta1: number,
  beta2: number,
  epsilon: number,
  weightDecay: number,
  decoupled: number,
  maximize: number,
]

interface AdamKernels {
  adam_advance(
    clocks: Floats,
    first: number,
    count: number,
    control: Floats,
    beta1: number,
    beta2: number,
  ): void
  adam_update(
    p: Floats,
    g: Floats,
    m: Floats,
    v: Floats,
    n: number,
    ...coefficients: Coefficients
  ): void
  adam_amsgrad_update(
    p: Floats,
    g: Floats,
    m: Floats,
    v: Floats,
    w: Floats,
    n: number,
    ...coefficients: Coefficients
  ): void
}

/** Both updates: `w` keeps the largest v so far with amsgrad, else it is v itself. */
function update(
  p: Floats,
  g: Floats,
  m: Floats,
  v: Floats,
  w: Floats,
  n: number,
  ...coefficients: Coefficients
): void {
  const [clocks, index, control, lr, beta1, beta2, epsilon, weightDecay, decoupled, maximize] =
    coefficients
  const factor = gradientFactor(control, maximize)
  const bias1 = clocks[index * CLOCK_SIZE + 1]
  const rootOfBias2 = clocks[index * CLOCK_SIZE + 2]
  for (let i = 0; i < n && !refused(control); i++) {
    const gradient = factor * g[i] + (decoupled ? 0 : weightDecay * p[i])
    m[i] = beta1 * m[i] + (1 - beta1) * gradient
    v[i] = beta2 * v[i] + (1 - beta2) * gradient * gradient
    w[i] = Math.max(w[i], v[i])
    const kept = decoupled ? 1 - lr * weightDecay : 1
    p[i] = kept * p[i] - ((lr / bias1) * m[i]) / (Math.sqrt(w[i]) / rootOfBias2 + epsilon)
  }
}

const kernels: KernelSet<AdamKernels> = {
  name: 'Adam',
  reference: {
    adam_advance(clocks, first, count, control, beta1, beta2) {
      for (let i = first; i < first + count && !refused(control); i++) {
        const clock = i * CLOCK_SIZE
        clocks[clock] += 1
        clocks[clock + 1] = 1 - wholePower(beta1, clocks[clock])
        clocks[clock + 2] = Math.sqrt(1 - wholePower(beta2, clocks[clock]))
      }
    },

    adam_update(p, g, m, v, n, ...coefficients) {
      update(p, g, m, v, v, n, ...coefficients)
    },

    adam_amsgrad_update: update,
  },
}

/** Options of `Adam` and `AdamW`; defaults are PyTorch's. */
export interface AdamOptions extends RateOptions {
  /** Decay of the averages of the gradient and of its square; [0.9, 0.999] by default. */
  readonly betas: readonly [number, number]
  /** Added to the denominator; 1e-8 by default. */
  readonly eps: number
  /** `Adam`: an L2 penalty, 0 by default. `AdamW`: decay apart from the gradient, 0.01 by default. */
  readonly weightDecay: number
  /** Divides by the largest average of squares so far. */
  readonly amsgrad: boolean
  /** Climbs instead of descending. */
  readonly maximize: boolean
}

function problems({ lr, betas, eps, weightDecay }: AdamOptions): string[] {
  const rates = [
    ...outOfRange('lr', lr, 0),
    ...outOfRange('eps', eps, 0),
    ...outOfRange('weightDecay', weightDecay, 0),
  ]
  if (!Array.isArray(betas) || betas.length !== 2) {
    return [...rates, `betas must be two numbers, got ${String(betas)}`]
  }
  return [
    ...rates,
    ...outOfRange('betas[0]', betas[0], 0, 1),
    ...outOfRange('betas[1]', betas[1], 0, 1),
  ]
}

function runUpdate(
  { backend, clocks, control }: StepContext,
  target: Target,
  options: AdamOptions,
  decoupled: number,
): void {
  const { parameter, gradient, size, index, state } = target
  const { exp_avg, exp_avg_sq, max_exp_avg_sq } = state
  const { lr, betas, eps, weightDecay, amsgrad, maximize } = options
  const coefficients: Coefficients = [
    clocks,
    index,
    control,
    lr,
    betas[0],
    betas[1],
    eps,
    weightDecay,
    decoupled,
    Number(maximize),
  ]
  const { adam_update, adam_amsgrad_update } = backend.kernels(kernels)
  if (amsgrad) {
    adam_amsgrad_update(
      parameter,
      gradient,
      exp_avg,
      exp_avg_sq,
      max_exp_avg_sq,
      size,
      ...coefficients,
    )
  } else {
    adam_update(parameter, gradient, exp_avg, exp_avg_sq, size, ...coefficients)
  }
}

/** Adam with its weight decay in the gradient, or apart from it. */
export function adamAlgorithm(
  name: string,
  weightDecay: number,
  decoupled: boolean,
): Algorithm<AdamOptions> {
  return {
    name,
    defaults: {
      lr: 1e-3,
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay,
      amsgrad: false,
      maximize: false,
    },
    problems,

    state(shape, { amsgrad }) {
      const averages = { exp_avg: shape, exp_avg_sq: shape }
      return amsgrad ? { ...averages, max_exp_avg_sq: shape } : averages
    },

    advance({ backend, clocks, control }, first, count, { betas }) {
      const { adam_advance } = backend.kernels(kernels)
      adam_advance(clocks, first, count, control, betas[0], betas[1])
    },

    update(context, target, options) {
      runUpdate(context, target, options, Number(decoupled))
    },
  }
}

/**
 * Adam: steps of about `lr` per element, whatever the size of its gradient. Throws one `argument`
 * error that lists everything wrong with parameters and options.
 *
 * @example
 * ```ts
 * import { Adam, backward, matmul, Parameter, reshape, step, tensor } from 'lowrank'
 *
 * const w = new Parameter([0.5, 0.5], [2, 1])
 * const optimizer = new Adam([w], { lr: 0.25 })
 * step(() => backward(reshape(matmul(tensor([1, -2], [1, 2]), w), [])))
 * optimizer.step()
 * console.log(Array.from(await w.data(), x => x.toFixed(2))) // ['0.25', '0.75']
 * ```
 */
export class Adam extends Optimizer<AdamOptions> {
  constructor(trainables: Trainables<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(adamAlgorithm('Adam', 0, false), trainables, options)
  }
}

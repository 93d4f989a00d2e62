// Stochastic gradient descent, per element:
//   g' = ±factor·g + weightDecay·p
//   b  = momentum·b + (1 − dampening)·g'    (b = g' at the first step)
//   d  = g' + momentum·b with nesterov, b with momentum, else g';   p = p − lr·d
// Source: torch.optim.SGD; Sutskever, Martens, Dahl, Hinton, "On the importance of initialization
// and momentum in deep learning" (2013).

import type { Floats, KernelSet } from '../core/backend.ts'
import type { Shape } from '../core/shape.ts'
import { CLOCK_SIZE, gradientFactor, refused } from './control.ts'
import { outOfRange, type RateOptions, type Trainables } from './group.ts'
import { type Algorithm, Optimizer } from './optimizer.ts'

interface SgdKernels {
  sgd_advance(clocks: Floats, first: number, count: number, control: Floats): void
  sgd_update(
    p: Floats,
    g: Floats,
    n: number,
    control: Floats,
    lr: number,
    weightDecay: number,
    maximize: number,
  ): void
  sgd_momentum_update(
    p: Floats,
    g: Floats,
    b: Floats,
    n: number,
    clocks: Floats,
    index: number,
    control: Floats,
    lr: number,
    momentum: number,
    dampening: number,
    weightDecay: number,
    nesterov: number,
    maximize: number,
  ): void
}

const kernels: KernelSet<SgdKernels> = {
  name: 'SGD',
  reference: {
    sgd_advance(clocks, first, count, control) {
      for (let i = first; i < first + count && !refused(control); i++) {
        clocks[i * CLOCK_SIZE] += 1
      }
    },

    sgd_update(p, g, n, control, lr, weightDecay, maximize) {
      const factor = gradientFactor(control, maximize)
      for (let i = 0; i < n && !refused(control); i++) {
        p[i] -= lr * (factor * g[i] + weightDecay * p[i])
      }
    },

    sgd_momentum_update(
      p,
      g,
      b,
      n,
      clocks,
      index,
      control,
      lr,
      momentum,
      dampening,
      weightDecay,
      nesterov,
      maximize,
    ) {
      const factor = gradientFactor(control, maximize)
      const share = clocks[index * CLOCK_SIZE] === 1 ? 1 : 1 - dampening
      for (let i = 0; i < n && !refused(control); i++) {
        const gradient = factor * g[i] + weightDecay * p[i]
        b[i] = momentum * b[i] + share * gradient
        p[i] -= lr * (nesterov ? gradient + momentum * b[i] : b[i])
      }
    },
  },
}

/** Options of `SGD`; defaults are PyTorch's. */
export interface SgdOptions extends RateOptions {
  /** How much of the last direction is kept; 0 by default: none, and no state. */
  readonly momentum: number
  /** By how much the gradient's share in the direction is reduced; 0 by default. */
  readonly dampening: number
  /** L2 penalty, added to the gradient; 0 by default. */
  readonly weightDecay: number
  readonly nesterov: boolean
  /** Climbs instead of descending. */
  readonly maximize: boolean
}

const sgd: Algorithm<SgdOptions> = {
  name: 'SGD',
  defaults: {
    lr: 1e-3,
    momentum: 0,
    dampening: 0,
    weightDecay: 0,
    nesterov: false,
    maximize: false,
  },

  problems({ lr, momentum, dampening, weightDecay, nesterov }) {
    const problems = [
      ...outOfRange('lr', lr, 0),
      ...outOfRange('momentum', momentum, 0),
      ...outOfRange('weightDecay', weightDecay, 0),
    ]
    if (!Number.isFinite(dampening)) {
      problems.push(`dampening must be finite, got ${dampening}`)
    }
    if (nesterov && (momentum <= 0 || dampening !== 0)) {
      problems.push('nesterov needs a momentum above 0 and no dampening')
    }
    return problems
  },

  state(shape, { momentum }): Record<string, Shape> {
    return momentum === 0 ? {} : { momentum_buffer: shape }
  },

  advance({ backend, clocks, control }, first, count, { momentum }) {
    if (momentum !== 0) {
      backend.kernels(kernels).sgd_advance(clocks, first, count, control)
    }
  },

  update({ backend, clocks, control }, target, options) {
    const { parameter, gradient, size, index, state } = target
    const { lr, momentum, dampening, weightDecay, nesterov, maximize } = options
    if (momentum === 0) {
      backend
        .kernels(kernels)
        .sgd_update(parameter, gradient, size, control, lr, weightDecay, Number(maximize))
      return
    }
    backend
      .kernels(kernels)
      .sgd_momentum_update(
        parameter,
        gradient,
        state.momentum_buffer,
        size,
        clocks,
        index,
        control,
        lr,
        momentum,
        dampening,
        weightDecay,
        Number(nesterov),
        Number(maximize),
      )
  },
}

/**
 * Stochastic gradient descent, with momentum, weight decay and Nesterov's variant. Throws one
 * `argument` error that lists everything wrong with parameters and options.
 *
 * @example
 * ```ts
 * import { backward, matmul, Parameter, reshape, SGD, step, tensor } from 'lowrank'
 *
 * const w = new Parameter([0.5, 0.5], [2, 1])
 * const optimizer = new SGD([w], { lr: 0.25, momentum: 0.9 })
 * step(() => backward(reshape(matmul(tensor([1, 2], [1, 2]), w), [])))
 * optimizer.step()
 * console.log(await w.data()) // Float32Array [0.25, 0]
 * ```
 */
export class SGD extends Optimizer<SgdOptions> {
  constructor(trainables: Trainables<SgdOptions>, options: Partial<SgdOptions> = {}) {
    super(sgd, trainables, options)
  }
}

// Gradients against finite differences, in float64. For L = Σ y·dy with a random dy,
//
//   dL/dx[i] ≈ (L(x + ε·e_i) − L(x − ε·e_i)) / 2ε,
//
// whose error is ε²/6 times the third derivative plus rounding of about 1e-16·|L| / ε.

import type { Backend } from './backend.ts'
import { LowrankError } from './errors.ts'
import { Random } from './rng.ts'
import { backward, noGrad, step } from './tape.ts'
import { type Tensor, tensor } from './tensor.ts'

export interface GradcheckOptions {
  /** The step of the central difference. */
  readonly eps?: number
  readonly atol?: number
  readonly rtol?: number
  /** Seeds the upstream gradient. */
  readonly seed?: number
  /** Which inputs to check; all float inputs if absent. */
  readonly wrt?: readonly number[]
}

export interface GradcheckEntry {
  readonly input: number
  readonly index: number
  readonly analytic: number
  readonly numeric: number
  /** |analytic − numeric| / (atol + rtol·|numeric|): passes up to 1. */
  readonly error: number
}

export interface GradcheckReport {
  readonly ok: boolean
  readonly checked: number
  readonly worst: GradcheckEntry | undefined
}

function weightedSum(y: Tensor, dy: ArrayLike<number>): number {
  const values = y.dataSync()
  let sum = 0
  for (let i = 0; i < values.length; i++) {
    sum += values[i] * dy[i]
  }
  return sum
}

function remade(x: Tensor, data: ArrayLike<number>, requiresGrad: boolean): Tensor {
  return tensor(data, x.shape, { dtype: x.dtype, backend: x.backend, requiresGrad })
}

function upstream(y: Tensor, seed: number): Float64Array {
  const random = new Random(seed, 'gradcheck')
  return Float64Array.from({ length: y.size }, () => random.uniform() * 2 - 1)
}

function checkBackend(backend: Backend): void {
  if (backend.precision !== 64) {
    throw new LowrankError(
      'backend',
      `gradcheck: expected tensors of a float64 backend, got ${backend.name} ` +
        '(make them under withBackend(reference(), …))',
    )
  }
}

/**
 * Compares the gradients of `fn` with central differences, every element of every float input.
 * The inputs must belong to the reference backend. PyTorch's limits are the defaults: eps 1e-6,
 * atol 1e-5, rtol 1e-3.
 *
 * @example
 * ```ts
 * import { gradcheck, mul, tensor, withBackend } from 'lowrank'
 * import { reference } from 'lowrank/reference'
 *
 * const report = withBackend(reference(), () => {
 *   const x = tensor([0.5, -2], [2])
 *   return gradcheck(x => mul(x, x), [x])
 * })
 * console.log(report.ok) // true
 * ```
 */
export function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): GradcheckReport {
  const { eps = 1e-6, atol = 1e-5, rtol = 1e-3, seed = 0 } = options
  inputs.forEach(input => {
    checkBackend(input.backend)
  })
  const floats = inputs.map((_, i) => i).filter(i => inputs[i].dtype !== 'int32')
  const wrt = options.wrt ?? floats
  const values = inputs.map(input => input.dataSync())
  const leaves = inputs.map((input, i) => remade(input, values[i], wrt.includes(i)))
  const dy = step(() => {
    const y = fn(...leaves)
    const random = upstream(y, seed)
    if (y.requiresGrad) {
      backward(y, tensor(random, y.shape, { backend: y.backend }))
    }
    return { random }
  }).random
  let worst: GradcheckEntry | undefined
  let checked = 0
  for (const input of wrt) {
    const gradient = leaves[input].grad?.dataSync() ?? new Float64Array(values[input].length)
    for (let index = 0; index < values[input].length; index++) {
      const at = (shift: number): number => {
        const moved = values[input].slice()
        moved[index] += shift
        const others = leaves.map((leaf, i) => (i === input ? remade(leaf, moved, false) : leaf))
        return noGrad(() => weightedSum(fn(...others), dy))
      }
      const numeric = (at(eps) - at(-eps)) / (2 * eps)
      const analytic = gradient[index]
      const error = Math.abs(analytic - numeric) / (atol + rtol * Math.abs(numeric))
      checked++
      if (!worst || !(error <= worst.error)) {
        worst = { input, index, analytic, numeric, error }
      }
    }
  }
  return { ok: !worst || worst.error <= 1, checked, worst }
}

// Clipping by the norm over all gradients together, as one vector:
//   norm = (Σ |g|^p)^(1/p), max |g| for p = ∞;   g = min(1, maxNorm / (norm + 1e-6))·g
// Source: Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks"
// (2013); torch.nn.utils.clip_grad_norm_.

import { reductions as binary } from '#kernels/reductions'
import { type Backend, commonBackend, type Floats, type KernelSet } from '../core/backend.ts'
import { throwAll } from '../core/errors.ts'
import { pow } from '../core/math.ts'
import type { Parameter } from '../core/parameter.ts'
import { acquire, allocateScoped, scoped } from '../core/scope.ts'
import { Tensor } from '../core/tensor.ts'
import { CONTROL_SIZE } from './control.ts'
import { conclude, gradientNorm } from './gradient_norm.ts'

interface PowerNormKernels {
  power_norm_add(g: Floats, n: number, p: number, control: Floats): void
  power_norm_end(p: number, maxNorm: number, control: Floats): void
}

const powerNorm: KernelSet<PowerNormKernels> = {
  name: 'clipGradNorm',
  binary,
  reference: {
    power_norm_add(g, n, p, control) {
      for (let i = 0; i < n; i++) {
        const magnitude = Math.abs(g[i])
        control[0] =
          p === Number.POSITIVE_INFINITY
            ? Math.max(control[0], magnitude)
            : control[0] + pow(magnitude, p)
      }
    },

    power_norm_end(p, maxNorm, control) {
      const sum = control[0]
      conclude(sum, p === Number.POSITIVE_INFINITY ? sum : pow(sum, 1 / p), maxNorm, control)
    },
  },
}

/** Whether gradients of `p` are summed as squares, the case with kernels of its own. */
const EUCLIDEAN = 2

export interface ClipGradNormOptions {
  /** p of the norm, above 0; `Infinity` takes the largest magnitude. 2 if absent. */
  readonly normType?: number
}

function check(parameters: readonly Parameter[], maxNorm: number, p: number): void {
  const problems: string[] = []
  if (parameters.length === 0) {
    problems.push('expected at least one parameter, got none')
  }
  if (!(maxNorm >= 0)) {
    problems.push(`maxNorm must be 0 or more, got ${maxNorm}`)
  }
  if (!(p > 0)) {
    problems.push(`normType must be above 0, got ${p}`)
  }
  throwAll('argument', 'clipGradNorm', problems)
}

function measure(
  backend: Backend,
  gradients: readonly Tensor[],
  maxNorm: number,
  p: number,
  control: Floats,
): void {
  const kernels = backend.kernels(gradientNorm)
  kernels.gradient_norm_begin(control)
  if (p === EUCLIDEAN) {
    for (const gradient of gradients) {
      kernels.gradient_norm_add(acquire(gradient.storage), gradient.size, control)
    }
    kernels.gradient_norm_end(maxNorm, control)
    return
  }
  const powers = backend.kernels(powerNorm)
  for (const gradient of gradients) {
    powers.power_norm_add(acquire(gradient.storage), gradient.size, p, control)
  }
  powers.power_norm_end(p, maxNorm, control)
}

/**
 * Scales the gradients of `parameters` in place so that their common norm is at most `maxNorm`, and
 * returns that norm from before, a scalar. Parameters without a gradient are skipped; gradients
 * stay as they are if one of them is not finite. Call it outside `step`, or after `backward`.
 * Throws an `argument` error. Optimizers clip by themselves: `step({ maxGradNorm })`.
 *
 * @example
 * ```ts
 * import { backward, clipGradNorm, matmul, Parameter, reshape, step, tensor } from 'lowrank'
 *
 * const w = new Parameter([3, 4], [2, 1])
 * step(() => backward(reshape(matmul(tensor([3, 4], [1, 2]), w), [])))
 * const norm = clipGradNorm([w], 1)
 * console.log(await norm.item()) // 5
 * ```
 */
export function clipGradNorm(
  parameters: readonly Parameter[],
  maxNorm: number,
  options: ClipGradNormOptions = {},
): Tensor<readonly []> {
  const p = options.normType ?? EUCLIDEAN
  check(parameters, maxNorm, p)
  const backend = commonBackend('clipGradNorm', parameters)
  const gradients = parameters.filter(({ hasGrad }) => hasGrad).map(item => item.gradient())
  return scoped(() => {
    const control = allocateScoped(backend, 'float32', CONTROL_SIZE)
    const norm = new Tensor(allocateScoped(backend, 'float32', 1), [] as const)
    const buffer = acquire(control)
    const kernels = backend.kernels(gradientNorm)
    measure(backend, gradients, maxNorm, p, buffer)
    for (const gradient of gradients) {
      kernels.clip_gradient(acquire(gradient.storage), gradient.size, buffer)
    }
    kernels.read_norm(buffer, acquire(norm.storage))
    return norm
  })
}

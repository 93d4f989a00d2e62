// The L2 norm of all gradients, the clip factor and the non-finite flag:
//   norm = √Σ g²,   factor = min(1, maxNorm / (norm + 1e-6)),   flag: the sum is not finite
// Source: torch.nn.utils.clip_grad_norm_.

import type { Floats, KernelSet } from '../core/backend.ts'
import { FACTOR, NON_FINITE, NORM, refused } from './control.ts'

export interface GradientNormKernels {
  gradient_norm_begin(control: Floats): void
  gradient_norm_add(g: Floats, n: number, control: Floats): void
  gradient_norm_end(maxNorm: number, control: Floats): void
  flag_non_finite(x: Floats, n: number, control: Floats): void
  read_norm(control: Floats, y: Floats): void
  clip_gradient(g: Floats, n: number, control: Floats): void
}

/** Writes norm, factor and flag; the flag stays set if it was. */
export function conclude(sum: number, norm: number, maxNorm: number, control: Floats): void {
  control[NORM] = norm
  control[FACTOR] = Math.min(1, maxNorm / (norm + 1e-6))
  if (!Number.isFinite(sum)) {
    control[NON_FINITE] = 1
  }
}

export const gradientNorm: KernelSet<GradientNormKernels> = {
  name: 'gradient norm',
  reference: {
    gradient_norm_begin(control) {
      control[0] = 0
      control[NORM] = 0
      control[FACTOR] = 1
      control[NON_FINITE] = 0
    },

    gradient_norm_add(g, n, control) {
      for (let i = 0; i < n; i++) {
        control[0] += g[i] * g[i]
      }
    },

    gradient_norm_end(maxNorm, control) {
      conclude(control[0], Math.sqrt(control[0]), maxNorm, control)
    },

    flag_non_finite(x, n, control) {
      for (let i = 0; i < n; i++) {
        if (!Number.isFinite(x[i])) {
          control[NON_FINITE] = 1
        }
      }
    },

    read_norm(control, y) {
      y[0] = control[NORM]
    },

    clip_gradient(g, n, control) {
      for (let i = 0; i < n && !refused(control); i++) {
        g[i] *= control[FACTOR]
      }
    },
  },
}

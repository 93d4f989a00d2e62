// AdamW: Adam whose weight decay does not pass through the averages, per element:
//   p = p·(1 − lr·weightDecay) − lr/(1 − β₁ᵗ) · m / (√v / √(1 − β₂ᵗ) + ε)
// The loops are those of adam.ts. Source: Loshchilov, Hutter, "Decoupled weight decay
// regularization" (arXiv 1711.05101); torch.optim.AdamW.

import { type AdamOptions, adamAlgorithm } from './adam.ts'
import type { Trainables } from './group.ts'
import { Optimizer } from './optimizer.ts'

/**
 * Adam with decoupled weight decay, the usual choice for LoRA. Throws one `argument` error that
 * lists everything wrong with parameters and options.
 *
 * @example
 * ```ts
 * import { AdamW, Parameter } from 'lowrank'
 *
 * const decayed = new Parameter([1, 2], [2])
 * const bias = new Parameter([0], [1])
 * const optimizer = new AdamW([{ params: [decayed] }, { params: [bias], weightDecay: 0 }], {
 *   lr: 2e-4,
 * })
 * console.log(optimizer.groups.map(group => group.options.weightDecay)) // [0.01, 0]
 * ```
 */
export class AdamW extends Optimizer<AdamOptions> {
  constructor(trainables: Trainables<AdamOptions>, options: Partial<AdamOptions> = {}) {
    super(adamAlgorithm('AdamW', 0.01, true), trainables, options)
  }
}

// LoRA+: a higher learning rate for B than for A, ratio times lr. By the names of the parameters:
//   lora_embedding_*                        embeddingLr
//   lora_B or one-dimensional               lr·ratio, without decay if a bias or in a layer norm
//   the rest                                lr
// Source: Hayou, Ghosh, Yu, "LoRA+: efficient low rank adaptation of large models" (arXiv
// 2402.12354); peft.optimizers.create_loraplus_optimizer.

import { throwAll } from '../core/errors.ts'
import type { Parameter } from '../core/parameter.ts'
import { outOfRange } from './group.ts'

export interface LoraPlusOptions {
  /** The rate of A and of everything that is neither B nor one-dimensional. */
  readonly lr: number
  /** How many times that rate B has; the paper advises 16 for a start. */
  readonly ratio: number
  /** Weight decay of all but biases and layer norms; 0 by default. */
  readonly weightDecay?: number
  /** The rate of embedding adapters; 1e-6 by default. */
  readonly embeddingLr?: number
}

export interface LoraPlusGroup {
  readonly params: readonly Parameter[]
  readonly lr: number
  readonly weightDecay: number
}

/**
 * Whether a parameter decays: biases do not, nor weights of layer norms. As in PEFT, those of RMS norms
 * do, which are told from the others by having no bias.
 */
function decays(name: string, names: ReadonlySet<string>): boolean {
  const hasBias = names.has(name.replace(/weight$/, 'bias'))
  const isLayerNorm = /(^|\.)ln_/i.test(name) || (/norm/i.test(name) && hasBias)
  return !name.includes('bias') && !isLayerNorm
}

/** In which of the four groups a parameter is. */
function groupOf({ name, shape }: Parameter, names: ReadonlySet<string>): number {
  if (name.includes('lora_embedding_')) {
    return 1
  }
  if (name.includes('lora_B') || shape.length === 1) {
    return decays(name, names) ? 2 : 3
  }
  return 0
}

/**
 * The four groups of LoRA+ (A and the rest, embeddings, B, B without decay) for any optimizer; a
 * group may be empty. Parameters are told apart by their names. Throws an `argument` error.
 *
 * @example
 * ```ts
 * import { AdamW, loraPlusGroups, Parameter } from 'lowrank'
 *
 * const a = new Parameter([1, 2], [1, 2])
 * const b = new Parameter([0, 0], [2, 1])
 * a.name = 'q_proj.lora_A.weight'
 * b.name = 'q_proj.lora_B.weight'
 * const optimizer = new AdamW(loraPlusGroups([a, b], { lr: 1e-4, ratio: 16 }))
 * console.log(optimizer.groups.map(group => group.lr)) // [0.0001, 0.000001, 0.0016, 0.0016]
 * ```
 */
export function loraPlusGroups(
  parameters: readonly Parameter[],
  options: LoraPlusOptions,
): LoraPlusGroup[] {
  const { lr, ratio, weightDecay = 0, embeddingLr = 1e-6 } = options
  const problems = Object.entries({ lr, ratio, weightDecay, embeddingLr }).flatMap(
    ([name, value]) => outOfRange(name, value, 0),
  )
  parameters.forEach(({ name }, i) => {
    if (name === '') {
      problems.push(`parameter ${i} has no name to tell A from B by`)
    }
  })
  throwAll('argument', 'loraPlusGroups', problems)
  const rates = [
    { lr, weightDecay },
    { lr: embeddingLr, weightDecay },
    { lr: lr * ratio, weightDecay },
    { lr: lr * ratio, weightDecay: 0 },
  ]
  const names = new Set(parameters.map(({ name }) => name))
  return rates.map((rate, group) => ({
    params: parameters.filter(parameter => groupOf(parameter, names) === group),
    ...rate,
  }))
}

// `enableLora`: LoRA on chosen parts of a layer that computes several at once, q, k and v of one matrix
// (loralib's `MergedLinear`). Of n parts, m are chosen; each has factors of rank r of its own:
//
//   A [m·r, in], B [out, m·r] ∘ M,  M 1 where a chosen part meets its own r columns, else 0
//
// B starts as zero and elements outside M get no gradient, so they stay zero: the adapter is an ordinary
// one of rank m·r and alpha m·α in every file. loralib keeps the blocks of B alone.

import { type Tensor, tensor } from '../../core/tensor.ts'
import { add } from '../../ops/add.ts'
import { mul } from '../../ops/mul.ts'
import type { LoraConfig } from '../config.ts'
import type { Extension } from '../extension.ts'
import { activeUpdates } from '../module.ts'
import { splitRows } from '../rows.ts'
import type { LoraState } from '../state.ts'
import type { Variant } from '../variant.ts'

/** The option of fused layers. */
export interface FusedConfig {
  /** Which of the equal parts of a layer's outputs get updates. */
  readonly enableLora?: readonly boolean[]
}

function chosen(parts: readonly boolean[]): number[] {
  return parts.flatMap((enabled, part) => (enabled ? [part] : []))
}

/** The configuration with ranks and alphas of all chosen parts together, as files have them. */
export function withWholeRanks(config: LoraConfig): LoraConfig {
  const { enableLora, r = 8, loraAlpha = 8, rankPattern = {}, alphaPattern = {} } = config
  const count = Array.isArray(enableLora) ? chosen(enableLora).length : 1
  const alphas = config.useRslora ? Math.sqrt(count) : count
  const times = (pattern: Readonly<Record<string, number>>, factor: number) =>
    Object.fromEntries(Object.entries(pattern).map(([key, value]) => [key, value * factor]))
  return count <= 1
    ? config
    : {
        ...config,
        r: r * count,
        loraAlpha: loraAlpha * alphas,
        rankPattern: times(rankPattern, count),
        alphaPattern: times(alphaPattern, alphas),
      }
}

/** M [out, m·r]. */
function maskOf({ A, B }: LoraState, parts: readonly boolean[]): Tensor {
  const [out, R] = B.shape
  const own = chosen(parts)
  const height = out / parts.length
  const width = R / own.length
  const mask = Float32Array.from({ length: out * R }, (_, i) => {
    const part = Math.floor(Math.floor(i / R) / height)
    return own[Math.floor((i % R) / width)] === part ? 1 : 0
  })
  return tensor(mask, [out, R], { backend: A.backend })
}

function fusedVariant(parts: readonly boolean[]): Variant {
  const masks: WeakMap<LoraState, Tensor> = new WeakMap()
  return {
    name: 'fused',
    split: splitRows,
    refusal: ({ kind, outFeatures }) =>
      ['linear', 'conv1d'].includes(kind) && outFeatures % parts.length === 0
        ? undefined
        : `has ${outFeatures} outputs, which enableLora cannot divide into ${parts.length} parts`,

    forward({ layer, x, state, weight, bias, y, pending }) {
      const mask = masks.get(state) ?? maskOf(state, parts)
      masks.set(state, mask)
      const B = mul(state.B, mask)
      const updates = activeUpdates(state).map((update, i) => (i === 0 ? { ...update, B } : update))
      const all = [...pending, ...updates]
      return y === undefined
        ? layer.base.updated(x, all, weight, bias)
        : add(y, layer.base.updated(x, all, undefined, undefined))
    },

    sum: add,
  }
}

function isParts(value: unknown): value is readonly boolean[] {
  return Array.isArray(value) && value.includes(true) && value.every(p => typeof p === 'boolean')
}

export const fused: Extension = {
  name: 'fused',
  options: {
    enableLora: (value, { useDora, initLoraWeights = true }) => {
      if (!isParts(value)) {
        return 'a list of true and false, with at least one true'
      }
      const plain = !useDora && (initLoraWeights === true || initLoraWeights === 'gaussian')
      return plain ? undefined : 'none beside useDora or a start whose B is not zero'
    },
  },
  variant: ({ enableLora }) => enableLora && fusedVariant(enableLora),
}

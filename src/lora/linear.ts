// A linear layer under low-rank adapters: y = x·Wᵀ + b + Σ s·(dropout(x)·Aᵀ)·Bᵀ (Hu et al. 2021,
// arXiv 2106.09685). It wraps the layer, which does not know; each adapter is one record.

import type { DType } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import { isRecording } from '../core/op.ts'
import { Parameter } from '../core/parameter.ts'
import { nextDraw } from '../core/random_state.ts'
import { scoped } from '../core/scope.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { Linear } from '../nn/linear.ts'
import { type Member, Module } from '../nn/module.ts'
import { type LowRank, loraLinear, type RowRange } from '../ops/lora_linear.ts'
import { loraMerge } from '../ops/lora_merge.ts'
import { reshape } from '../ops/reshape.ts'
import { type AdapterSelection, BASE_NAME, chosenAdapters, namesOf, rowAdapters } from './active.ts'

/** One adapter on one layer. */
export interface LoraState {
  readonly r: number
  readonly loraAlpha: number
  readonly scaling: number
  readonly loraDropout: number
  /** A [r, in]. */
  readonly A: Parameter
  /** B [out, r]. */
  readonly B: Parameter
  /** The bias of B, [out], with `loraBias`. */
  readonly bias: Parameter | undefined
}

/** Which adapters one call uses; the default ones if both are absent. */
export interface LoraCall {
  readonly adapter?: AdapterSelection
  /** One name for each row of the batch, BASE_NAME for none. */
  readonly adapterNames?: readonly string[]
}

/**
 * A linear layer with adapters, as `attach` makes it.
 *
 * @example
 * ```ts
 * import { attach, Linear, tensor } from 'lowrank'
 *
 * const layer = attach(new Linear(4, 3), { r: 2, loraAlpha: 4 })
 * const x = tensor([1, 2, 3, 4], [1, 4])
 * console.log(layer.forward(x).shape, layer.trainable().length) // [1, 3] 2
 * ```
 */
export class LoraLinear extends Module {
  readonly base: Linear
  readonly adapters: Map<string, LoraState> = new Map()
  /** The adapters a call uses unless it names others. */
  active: readonly string[] = []
  /** W + Σ s·B·A as a plain layer, while merged. */
  merged: Linear | undefined = undefined
  /** How often `forward` ran, for the check that every target is reached. */
  calls = 0

  constructor(base: Linear) {
    super()
    this.base = base
  }

  get inFeatures(): number {
    return this.base.inFeatures
  }

  get outFeatures(): number {
    return this.base.outFeatures
  }

  /** PEFT's names: `base_layer.weight`, `lora_A.<adapter>.weight`, `lora_B.<adapter>.weight`. */
  override *members(): Generator<[string, Member]> {
    yield ['base_layer', this.base]
    for (const [name, state] of this.adapters) {
      yield [`lora_A.${name}.weight`, state.A]
      yield [`lora_B.${name}.weight`, state.B]
      if (state.bias) {
        yield [`lora_B.${name}.bias`, state.bias]
      }
    }
  }

  /** The states of the adapters that a call with this selection uses, in their order. */
  states(selection?: AdapterSelection): LoraState[] {
    const names = namesOf(selection) ?? chosenAdapters() ?? this.active
    return names.flatMap(name => this.adapters.get(name) ?? [])
  }

  forward(x: Tensor, options: LoraCall = {}): Tensor {
    this.calls++
    const { weight, bias } = this.base
    const rows = options.adapterNames ?? rowAdapters()
    if (rows) {
      return loraLinear(x, weight, bias, rowUpdates(this, x, rows))
    }
    if (this.merged && options.adapter === undefined && chosenAdapters() === undefined) {
      return this.merged.forward(x)
    }
    return loraLinear(
      x,
      weight,
      bias,
      this.states(options.adapter).map(state => updateOf(state)),
    )
  }

  /**
   * An ordinary linear layer with W + Σ s·B·A; the wrapper and its base stay as they are. The sum
   * is formed in float32 and rounded to the base's dtype, or to the one that is asked for.
   */
  merge(selection?: AdapterSelection, dtype: DType = this.base.weight.dtype): Linear {
    return mergedLinear(this.base, this.states(selection), dtype)
  }
}

/** An adapter as the op takes it; dropout acts only while a step records. */
function updateOf(state: LoraState, rows?: readonly RowRange[]): LowRank {
  const { A, B, bias, scaling: scale, loraDropout: p } = state
  const dropout = p > 0 && isRecording() ? { p, ...nextDraw() } : undefined
  return { A, B, bias, scale, dropout, rows }
}

/** Each adapter's update for its own rows of the batch. */
function rowUpdates(layer: LoraLinear, x: Tensor, names: readonly string[]): LowRank[] {
  const batch = x.shape[0]
  if (names.length !== batch) {
    throw new LowrankError(
      'argument',
      `lora: expected one adapter name for each of ${batch} rows, got ${names.length}`,
    )
  }
  const used = [...new Set(names)].filter(name => name !== BASE_NAME)
  checkAdapters('lora', [layer], used)
  // Rows of x as a matrix per row of the batch.
  const height = x.size / (batch * layer.inFeatures)
  return used.map(name => {
    const rows = names.flatMap((other, i): RowRange[] =>
      other === name ? [[i * height, (i + 1) * height]] : [],
    )
    return updateOf(layer.adapters.get(name) as LoraState, joined(rows))
  })
}

/** Ranges that follow each other as one. */
function joined(ranges: readonly RowRange[]): RowRange[] {
  const result: RowRange[] = []
  for (const [start, end] of ranges) {
    const last = result.at(-1)
    if (last && last[1] === start) {
      result[result.length - 1] = [last[0], end]
    } else {
      result.push([start, end])
    }
  }
  return result
}

/** The bias of the merged layer: b + Σ s·c, each a column [O, 1]. */
function mergedBias(
  bias: Parameter | undefined,
  states: readonly LoraState[],
  O: number,
): Tensor | undefined {
  const own = states.filter(state => state.bias !== undefined)
  if (own.length === 0) {
    return bias
  }
  const { backend } = own[0].A
  const A = tensor([1], [1, 1], { backend })
  const base = bias ?? tensor(new Float32Array(O), [O], { backend })
  const updates = own.map(state => {
    return { A, B: reshape(state.bias as Tensor, [O, 1]), scale: state.scaling }
  })
  return reshape(loraMerge(reshape(base, [O, 1]), updates), [O])
}

function mergedLinear(base: Linear, states: readonly LoraState[], dtype: DType): Linear {
  const { weight, bias, inFeatures, outFeatures } = base
  const wide = scoped(() => {
    const updates = states.map(({ A, B, scaling: scale }) => ({ A, B, scale }))
    return {
      weight: updates.length > 0 ? loraMerge(weight, updates) : weight,
      bias: mergedBias(bias, states, outFeatures),
    }
  })
  const plain = new Linear(inFeatures, outFeatures, {
    bias: wide.bias !== undefined,
    backend: weight.backend,
  })
  plain.weight = asParameter(wide.weight, dtype)
  if (wide.bias) {
    plain.bias = asParameter(wide.bias, dtype)
  }
  return plain
}

/** Elements as a frozen parameter of their own; those of a half-precision base keep their bits. */
function asParameter(x: Tensor, dtype: DType): Parameter {
  const data = x.dtype === dtype ? x.bits() : x.dataSync()
  return new Parameter(data, x.shape, { dtype, backend: x.backend, requiresGrad: false })
}

/** Throws a `target` error unless every named adapter exists on one of the layers. */
export function checkAdapters(
  where: string,
  layers: readonly LoraLinear[],
  names: readonly string[],
): void {
  const known = new Set(layers.flatMap(layer => [...layer.adapters.keys()]))
  for (const name of names) {
    if (!known.has(name)) {
      throw new LowrankError(
        'target',
        `${where}: there is no adapter "${name}" (there are: ${[...known].join(', ') || 'none'})`,
      )
    }
  }
}

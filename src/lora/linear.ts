// A linear layer under low-rank adapters: y = x·Wᵀ + b + Σ s·(dropout(x)·Aᵀ)·Bᵀ (Hu et al. 2021,
// arXiv 2106.09685). It wraps the layer, which does not know; each adapter is one record.

import type { DType } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import { isRecording } from '../core/op.ts'
import { Parameter } from '../core/parameter.ts'
import { scoped } from '../core/scope.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { Linear } from '../nn/linear.ts'
import { type Member, Module } from '../nn/module.ts'
import { add } from '../ops/add.ts'
import { dropout } from '../ops/dropout.ts'
import { indexSelect } from '../ops/index_select.ts'
import { linear } from '../ops/linear.ts'
import { type LowRank, loraLinear } from '../ops/lora_linear.ts'
import { matmul } from '../ops/matmul.ts'
import { mul } from '../ops/mul.ts'
import { scatterAdd } from '../ops/scatter_add.ts'
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
      return mixedForward(this, x, rows)
    }
    if (this.merged && options.adapter === undefined && chosenAdapters() === undefined) {
      return this.merged.forward(x)
    }
    const states = this.states(options.adapter)
    const plain = states.filter(state => !dropsOut(state))
    let y = loraLinear(x, weight, bias, plain.map(lowRank))
    for (const state of states) {
      y = withExtras(y, x, state)
    }
    return y
  }

  /**
   * An ordinary linear layer with W + Σ s·B·A; the wrapper and its base stay as they are. The sum
   * is formed in float32 and rounded to the base's dtype, or to the one that is asked for.
   */
  merge(selection?: AdapterSelection, dtype: DType = this.base.weight.dtype): Linear {
    return mergedLinear(this.base, this.states(selection), dtype)
  }
}

/** Adds each adapter's update to its own rows of the batch, one product per adapter. */
function mixedForward(layer: LoraLinear, x: Tensor, names: readonly string[]): Tensor {
  const [batch, ...rest] = x.shape
  if (names.length !== batch) {
    throw new LowrankError(
      'argument',
      `lora: expected one adapter name for each of ${batch} rows, got ${names.length}`,
    )
  }
  const used = [...new Set(names)].filter(name => name !== BASE_NAME)
  checkAdapters('lora', [layer], used)
  const { weight, bias, outFeatures } = layer.base
  let y = linear(x, weight, bias)
  for (const name of used) {
    const rows = names.flatMap((other, row) => (other === name ? [row] : []))
    const int32 = { dtype: 'int32', backend: x.backend } as const
    const index = tensor(rows, [rows.length], int32)
    const update = updateOf(indexSelect(x, 0, index), layer.adapters.get(name) as LoraState)
    const shape = [rows.length, ...rest.slice(0, -1), outFeatures]
    const width = update.size / rows.length
    const targets = Int32Array.from({ length: update.size }, (_, i) => rows[Math.floor(i / width)])
    y = scatterAdd(y, 0, tensor(targets, shape, int32), update)
  }
  return y
}

/** s·(dropout(x)·Aᵀ)·Bᵀ, and s times the bias of B. */
function updateOf(x: Tensor, { A, B, bias, scaling, loraDropout }: LoraState): Tensor {
  const u = matmul(dropout(x, loraDropout), A, { transposeB: true })
  const update = mul(matmul(u, B, { transposeB: true }), scaling)
  return bias ? add(update, mul(bias, scaling)) : update
}

function dropsOut(state: LoraState): boolean {
  return state.loraDropout > 0 && isRecording()
}

function lowRank({ A, B, scaling }: LoraState): LowRank {
  return { A, B, scale: scaling }
}

/** Adds what the fused op leaves out: an update under dropout, and the bias of B. */
function withExtras(y: Tensor, x: Tensor, state: LoraState): Tensor {
  if (dropsOut(state)) {
    return add(y, updateOf(x, state))
  }
  return state.bias ? add(y, mul(state.bias, state.scaling)) : y
}

/** s·B·A, the change of W [out, in]. */
export function deltaWeight({ A, B, scaling }: LoraState): Tensor {
  return mul(matmul(B as Tensor, A as Tensor, {}), scaling)
}

function mergedLinear(base: Linear, states: readonly LoraState[], dtype: DType): Linear {
  const { weight, bias, inFeatures, outFeatures } = base
  const wide = scoped(() => {
    let sum: Tensor = weight
    let shift: Tensor | undefined = bias
    for (const state of states) {
      sum = add(sum, deltaWeight(state))
      if (state.bias) {
        const own = mul(state.bias, state.scaling)
        shift = shift ? add(shift, own) : own
      }
    }
    return { weight: sum, bias: shift }
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

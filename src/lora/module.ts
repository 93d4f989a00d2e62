// A layer under low-rank adapters: y = W∘x + b + Σ s·B∘(A∘dropout(x)) (Hu et al. 2021, arXiv
// 2106.09685). It wraps the layer, which does not know; each adapter is one record.

import { LowrankError } from '../core/errors.ts'
import { isRecording } from '../core/op.ts'
import type { Parameter } from '../core/parameter.ts'
import { nextDraw } from '../core/random_state.ts'
import type { Tensor } from '../core/tensor.ts'
import type { Adaptable } from '../nn/adaptable.ts'
import type { Member } from '../nn/module.ts'
import type { LowRank, RowRange } from '../ops/lora_linear.ts'
import { type AdapterSelection, BASE_NAME, chosenAdapters, namesOf, rowAdapters } from './active.ts'
import { Holder } from './holder.ts'
import {
  type LoraState,
  stateEntries,
  stateParameters,
  trainedParameters,
  updatesOf,
} from './state.ts'
import type { Variant } from './variant.ts'

/** Which adapters one call uses; the default ones if both are absent. */
export interface LoraCall {
  readonly adapter?: AdapterSelection
  /** One name for each row of the batch, BASE_NAME for none. */
  readonly adapterNames?: readonly string[]
}

/**
 * A layer with adapters, as `attach` makes it.
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
export class LoraModule<L extends Adaptable = Adaptable> extends Holder {
  readonly base: L
  readonly adapters: Map<string, LoraState> = new Map()
  /** W + Σ s·B·A as a plain layer, while merged. */
  merged: Adaptable | undefined = undefined
  /** How often `forward` ran, for the check that every target is reached. */
  calls = 0

  constructor(base: L) {
    super()
    this.base = base
  }

  get inFeatures(): number {
    return this.base.inFeatures
  }

  get outFeatures(): number {
    return this.base.outFeatures
  }

  override get inner(): L {
    return this.base
  }

  /** PEFT's names: `base_layer.weight`, `lora_A.<adapter>.weight`, `lora_B.<adapter>.weight`. */
  override *members(): Generator<[string, Member]> {
    yield ['base_layer', this.base]
    for (const [name, state] of this.adapters) {
      for (const [key, parameter] of stateEntries(this.base.kind, state)) {
        yield [key.replace(/^[^.]*/, `$&.${name}`), parameter]
      }
    }
  }

  override names(): string[] {
    return [...this.adapters.keys()]
  }

  #state(name: string): LoraState {
    return this.adapters.get(name) as LoraState
  }

  override entries(name: string): [key: string, Parameter][] {
    return stateEntries(this.base.kind, this.#state(name))
  }

  override parametersOf(name: string): { all: Parameter[]; trained: Parameter[] } {
    const state = this.#state(name)
    return { all: stateParameters(state), trained: trainedParameters(state) }
  }

  override remove(name: string): void {
    this.adapters.delete(name)
  }

  override dispose(): void {
    this.unmerge()
    for (const parameter of this.held()) {
      parameter.dispose()
    }
    super.dispose()
  }

  override unmerge(): void {
    this.merged?.dispose()
    this.merged = undefined
  }

  /** The states of the adapters that a call with this selection uses, in their order. */
  states(selection?: AdapterSelection): LoraState[] {
    const names = namesOf(selection) ?? chosenAdapters() ?? this.active
    return names.flatMap(name => this.adapters.get(name) ?? [])
  }

  forward(x: Tensor, options: LoraCall = {}): Tensor {
    this.calls++
    const { adapter, adapterNames } = options
    // A name of the call itself is meant for this layer; what is around may be for others as well.
    checkAdapters('lora', [this], [...(namesOf(adapter) ?? []), ...rowNames(adapterNames)])
    const rows = adapterNames ?? rowAdapters()
    if (rows) {
      return this.#forwardRows(x, rows)
    }
    if (this.merged && adapter === undefined && chosenAdapters() === undefined) {
      return this.merged.forward(x)
    }
    return this.#run(x, this.states(adapter))
  }

  /** Adapters one after the other; those that are plain LoRA share a call with what is before. */
  #run(x: Tensor, states: readonly LoraState[]): Tensor {
    const { base } = this
    const weight = states.findLast(({ own }) => own?.weight)?.own?.weight ?? base.weight
    const bias = states.findLast(({ own }) => own?.bias)?.own?.bias ?? base.bias
    let pending: LowRank[] = []
    let last: Variant | undefined
    let y: Tensor | undefined
    for (const state of states) {
      const { variant } = state
      if (variant?.forward) {
        y = variant.forward({ layer: this, x, state, weight, bias, y, pending })
        last = variant
        pending = []
      } else {
        pending.push(...activeUpdates(state))
      }
    }
    if (y === undefined) {
      return base.updated(x, pending, weight, bias)
    }
    // Plain LoRA alone needs no sum of tensors, and its bundle holds none.
    const rest = pending.length > 0 && base.updated(x, pending, undefined, undefined)
    return (rest && last?.sum?.(y, rest)) || y
  }

  /** Each adapter's update for its own rows of the batch, in one call where that can be. */
  #forwardRows(x: Tensor, names: readonly string[]): Tensor {
    checkCount(x, names)
    const used = [...new Set(names)].filter(name => this.adapters.has(name))
    const split = used.map(name => this.#state(name).split).find(Boolean)
    if (split) {
      return split(x, names, (x, name) => this.#run(x, this.states(name)))
    }
    const updates = used.flatMap(name => activeUpdates(this.#state(name), rangesOf(name, names)))
    return this.base.updated(x, updates, this.base.weight, this.base.bias)
  }
}

/** An adapter's updates as the layer takes them; dropout acts only while a step records. */
export function activeUpdates(state: LoraState, rows?: readonly RowRange[]): LowRank[] {
  const { loraDropout: p } = state
  const dropout = p > 0 && isRecording() ? { p, ...nextDraw() } : undefined
  return updatesOf(state, { dropout, rows })
}

/** Throws an `argument` error unless there is a name for every row. */
export function checkCount(x: Tensor, names: readonly string[]): void {
  if (names.length !== x.shape[0]) {
    throw new LowrankError(
      'argument',
      `lora: expected one adapter name for each of ${x.shape[0]} rows, got ${names.length}`,
    )
  }
}

/** The adapters that rows name. */
export function rowNames(names: readonly string[] = []): string[] {
  return names.filter(name => name !== BASE_NAME)
}

/** The rows that have a name; those that follow each other as one range. */
function rangesOf(name: string, names: readonly string[]): RowRange[] {
  const ranges: [start: number, end: number][] = []
  names.forEach((other, row) => {
    const last = ranges.at(-1)
    if (other === name && last?.[1] === row) {
      last[1]++
    } else if (other === name) {
      ranges.push([row, row + 1])
    }
  })
  return ranges
}

/** Throws a `target` error unless every named adapter exists on one of the layers. */
export function checkAdapters(
  where: string,
  layers: readonly Holder[],
  names: readonly string[],
): void {
  const known = new Set(layers.flatMap(layer => layer.names()))
  for (const name of names) {
    if (!known.has(name)) {
      throw new LowrankError(
        'target',
        `${where}: there is no adapter "${name}" (there are: ${[...known].join(', ') || 'none'})`,
      )
    }
  }
}

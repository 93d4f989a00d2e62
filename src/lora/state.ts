// What one adapter is on one layer: one record, with its parameters by their names in PEFT's files.

import type { Parameter } from '../core/parameter.ts'
import type { Shape } from '../core/shape.ts'
import type { Adaptable } from '../nn/adaptable.ts'
import type { LowRank } from '../ops/lora_linear.ts'
import type { SplitRows } from './rows.ts'
import type { Variant } from './variant.ts'

/** A product of two factors. */
export interface Factors {
  readonly A: Parameter
  readonly B: Parameter
}

/** One adapter on one layer. */
export interface LoraState {
  readonly r: number
  readonly loraAlpha: number
  readonly scaling: number
  readonly loraDropout: number
  /** A, [r, in] for a linear layer. */
  readonly A: Parameter
  /** B, [out, r] for a linear layer. */
  readonly B: Parameter
  /** The bias of B, [out], with `loraBias`. */
  readonly bias: Parameter | undefined
  /** The factor that is not trained, if there is one. */
  readonly frozen?: 'A' | 'B'
  /** A frozen pair that is subtracted: where the adapter started, if the base is to count without. */
  readonly start?: Factors
  /** What the adapter does otherwise than plain LoRA. */
  readonly variant?: Variant
  /** The parameters of the variant, by their names in PEFT's file. */
  readonly extra?: Readonly<Record<string, Parameter>>
  /** This adapter's own version of parameters of the base layer. */
  readonly own?: { readonly weight?: Parameter; readonly bias?: Parameter }
  /** Set where rows of one batch cannot share a call with those of other adapters. */
  readonly split?: SplitRows
}

/**
 * The name of a layer that is the whole model, which PEFT cannot wrap: the file fits a PyTorch module
 * whose only layer is `self.linear`.
 */
export const ALONE = 'linear'

/** The name of a tensor of the module at `path` in a file, below its common prefix. */
export function fileKey(path: string, name: string): string {
  return `${path === '' ? ALONE : path}.${name}`
}

/** PEFT's names of A and B. */
export function factorNames(kind: string): readonly [string, string] {
  return kind === 'embedding'
    ? ['lora_embedding_A', 'lora_embedding_B']
    : ['lora_A.weight', 'lora_B.weight']
}

/** The shapes of an adapter's tensors by their names in PEFT's file. */
export function entryShapes(
  base: Adaptable,
  { r, variant, loraBias }: { r: number; variant: Variant | undefined; loraBias: boolean },
): [name: string, Shape][] {
  const [nameA, nameB] = factorNames(base.kind)
  const { A, B } = base.factorShapes(r)
  return [
    [nameA, A],
    [nameB, B],
    ...(loraBias ? [['lora_B.bias', [base.outFeatures]] satisfies [string, Shape]] : []),
    ...Object.entries(variant?.extraShapes?.(base) ?? {}),
  ]
}

/** The parameters of an adapter by their names in PEFT's file, in the order of PEFT's module. */
export function stateEntries(kind: string, state: LoraState): [name: string, Parameter][] {
  const [A, B] = factorNames(kind)
  const entries: [string, Parameter | undefined][] = [
    [A, state.A],
    [B, state.B],
    ['lora_B.bias', state.bias],
    ...Object.entries(state.extra ?? {}),
    ['base_layer.weight', state.own?.weight],
    ['base_layer.bias', state.own?.bias],
  ]
  return entries.filter((entry): entry is [string, Parameter] => entry[1] !== undefined)
}

/** Every parameter of an adapter, also those that are never trained. */
export function stateParameters(state: LoraState): Parameter[] {
  const { start } = state
  const all = stateEntries('', state).map(([, parameter]) => parameter)
  return start ? [...all, start.A, start.B] : all
}

/** The parameters of an adapter that training changes. */
export function trainedParameters(state: LoraState): Parameter[] {
  const frozen = [state.own?.weight, state.frozen && state[state.frozen]]
  return stateEntries('', state)
    .map(([, parameter]) => parameter)
    .filter(parameter => !frozen.includes(parameter))
}

/** What an adapter adds to its layer; dropout, where there is a mask, acts on A's input. */
export function updatesOf(
  { A, B, bias, scaling: scale, start }: LoraState,
  options: Pick<LowRank, 'dropout' | 'rows'> = {},
): LowRank[] {
  const update = { A, B, bias, scale, ...options }
  return start ? [update, { ...start, scale: -scale, rows: options.rows }] : [update]
}

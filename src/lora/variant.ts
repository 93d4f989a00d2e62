// A variant of LoRA: what an adapter does otherwise than y + s·B·A·x. Each is one file in variants/.

import type { Parameter } from '../core/parameter.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import type { Adaptable } from '../nn/adaptable.ts'
import type { LowRank } from '../ops/lora_linear.ts'
import type { LoraModule } from './module.ts'
import type { SplitRows } from './rows.ts'
import type { LoraState } from './state.ts'

/** What a variant's forward starts from. */
export interface VariantCall {
  readonly layer: LoraModule
  readonly x: Tensor
  readonly state: LoraState
  /** The weight and bias that count as the base's. */
  readonly weight: Tensor
  readonly bias: Tensor | undefined
  /** y so far, where another variant acted before. */
  readonly y: Tensor | undefined
  /** Updates of adapters before this one that are not in y yet. */
  readonly pending: readonly LowRank[]
}

export interface Variant {
  readonly name: string
  /** Set where rows of one batch cannot share a call with those of other adapters. */
  readonly split?: SplitRows
  /** Whether rows of A and columns of B that are zero change nothing. */
  readonly padsWithZeros?: boolean
  /** Why a layer cannot have it, as the end of a sentence. */
  refusal?(layer: Adaptable): string | undefined
  /** The shapes of parameters beside A and B, by their names in PEFT's file. */
  extraShapes?(base: Adaptable): Readonly<Record<string, Shape>>
  /** What those parameters start as, for an adapter whose A and B are there; their elements, or they. */
  extraStart?(
    layer: LoraModule,
    state: LoraState,
  ): Readonly<Record<string, ArrayLike<number> | Parameter>>
  /** y with this adapter; absent where plain LoRA's does. */
  forward?(call: VariantCall): Tensor
  /** a + b, for plain adapters that follow; beside every `forward`. */
  sum?(a: Tensor, b: Tensor): Tensor
  /**
   * The weight [out, in] with this adapter in place of `weight`, into which adapters before it are
   * merged already; absent where W + s·B·A does.
   */
  merge?(layer: LoraModule, weight: Tensor, state: LoraState): Tensor
}

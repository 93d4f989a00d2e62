// The layer that adapters on another amount to: W' = W + Σ s·B·A, b' = b + Σ s·c. Sums are formed in
// float32, over the base widened, and rounded once.

import type { DType } from '../core/dtype.ts'
import { LowrankError } from '../core/errors.ts'
import { Parameter } from '../core/parameter.ts'
import { scoped } from '../core/scope.ts'
import { formatShape } from '../core/shape.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import type { Adaptable } from '../nn/adaptable.ts'
import { loraMerge } from '../ops/lora_merge.ts'
import { reshape } from '../ops/reshape.ts'
import { type AdapterSelection, namesOf } from './active.ts'
import { checkAdapters, type LoraModule } from './module.ts'
import { type LoraState, updatesOf } from './state.ts'

/** What an adapter adds to the weight, as factors [r, in] and [out, r]. */
export function matrixUpdates(base: Adaptable, state: LoraState): ReturnType<typeof updatesOf> {
  const { inFeatures: I, outFeatures: O } = base
  return updatesOf(state).map(({ A, B, scale }) => ({
    A: reshape(A, [A.shape[0], I]),
    B: reshape(B, [O, B.shape[1]]),
    scale,
  }))
}

/**
 * s·B·A of one adapter in the shape of the layer's weight, what its start subtracts included.
 * Throws a `target` error for a convolution in groups.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { deltaWeight } from 'lowrank/lora'
 *
 * const layer = attach(new Linear(4, 3), { r: 2 })
 * console.log(layer.states().map(state => deltaWeight(layer, state).shape)) // [[3, 4]]
 * ```
 */
export function deltaWeight(layer: LoraModule, state: LoraState): Tensor {
  checkMergeable(layer, [state])
  const { base } = layer
  return scoped(() => {
    const { inFeatures: I, outFeatures: O } = base
    const nothing = tensor(new Float32Array(O * I), [O, I], { backend: state.A.backend })
    return base.arranged(loraMerge(nothing, matrixUpdates(base, state)))
  })
}

/** The weight with adapters, in the layer's shape. */
function mergedWeight(layer: LoraModule, states: readonly LoraState[]): Tensor {
  const { base } = layer
  const weight = states.findLast(({ own }) => own?.weight)?.own?.weight ?? base.weight
  if (states.length === 0) {
    return weight
  }
  let matrix = base.oriented(weight)
  for (const state of states) {
    matrix =
      state.variant?.merge?.(layer, matrix, state) ?? loraMerge(matrix, matrixUpdates(base, state))
  }
  return base.arranged(matrix)
}

/** The bias with adapters; each sum is a product with a column [O, 1]. */
function mergedBias(layer: LoraModule, states: readonly LoraState[]): Tensor | undefined {
  const O = layer.outFeatures
  const bias = states.findLast(({ own }) => own?.bias)?.own?.bias ?? layer.base.bias
  const biased = states.filter(state => state.bias !== undefined)
  if (biased.length === 0) {
    return bias
  }
  const { backend } = biased[0].A
  const A = tensor([1], [1, 1], { backend })
  const base = bias ?? tensor(new Float32Array(O), [O], { backend })
  const updates = biased.map(state => {
    return { A, B: reshape(state.bias as Tensor, [O, 1]), scale: state.scaling }
  })
  return reshape(loraMerge(reshape(base, [O, 1]), updates), [O])
}

function checkMergeable({ base }: LoraModule, states: readonly LoraState[]): void {
  if (states.length > 0 && base.weight.size !== base.inFeatures * base.outFeatures) {
    throw new LowrankError(
      'target',
      `lora.merge: expected a weight of [${base.outFeatures}, ${base.inFeatures}], got ` +
        `${formatShape(base.weight.shape)} (groups of a ${base.kind} cannot be merged)`,
    )
  }
}

/** Weight and bias of a layer with adapters, before they are rounded. */
export interface MergedParts {
  readonly weight: Tensor
  readonly bias: Tensor | undefined
}

/** Merges adapters into the parts of a layer. Throws a `target` error for a convolution in groups. */
export function mergedParts(layer: LoraModule, states: readonly LoraState[]): MergedParts {
  checkMergeable(layer, states)
  return scoped(() => ({
    weight: mergedWeight(layer, states),
    bias: mergedBias(layer, states),
  }))
}

/** A layer like `base` around merged parts, each in the dtype that it has there if none is given. */
export function layerOf<L extends Adaptable>(base: L, parts: MergedParts, dtype?: DType): L {
  const { weight, bias } = base
  return base.like(
    asParameter(parts.weight, dtype ?? weight.dtype),
    parts.bias && asParameter(parts.bias, dtype ?? (bias ?? weight).dtype),
  ) as L
}

/**
 * An ordinary layer with W + Σ s·B·A for the adapters that are named, or the active ones; the wrapper
 * and its base stay as they are. The sum is formed in float32 and rounded to the base's dtype, or to
 * the one that is asked for. Throws a `target` error for a convolution in groups, or for an adapter that
 * the layer does not have.
 *
 * @example
 * ```ts
 * import { attach, Linear } from 'lowrank'
 * import { mergedLayer } from 'lowrank/lora'
 *
 * const plain = mergedLayer(attach(new Linear(4, 4), { r: 2 }))
 * console.log(plain.weight.shape) // [4, 4]
 * ```
 */
export function mergedLayer<L extends Adaptable>(
  layer: LoraModule<L>,
  selection?: AdapterSelection,
  dtype?: DType,
): L {
  checkAdapters('lora.merge', [layer], namesOf(selection) ?? [])
  return layerOf(layer.base, mergedParts(layer, layer.states(selection)), dtype)
}

/** Elements as a frozen parameter of their own; those of a half-precision base keep their bits. */
function asParameter(x: Tensor, dtype: DType): Parameter {
  const data = x.dtype === dtype ? x.bits() : x.dataSync()
  return new Parameter(data, x.shape, { dtype, backend: x.backend, requiresGrad: false })
}

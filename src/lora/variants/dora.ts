// DoRA: the weight as a direction times a magnitude m per output (Liu et al. 2024, arXiv 2402.09353,
// equation 5), with the norm counted as a constant in backward (section 4.3):
//
//   y = b + m/n ⊙ (W∘x + s·B∘(A∘x)),   n = ‖W + s·B·A‖ per row [out]
//
//   n² = ‖W‖² + 2s·Σ (W·Aᵀ ∘ B) + s²·Σ (B·(A·Aᵀ) ∘ B)
//
// so W + s·B·A is not formed: ‖W‖² is computed once, in f64, the rest in f32. Where the three terms cancel
// beyond n² ≥ (‖W‖² + ‖s·B‖²·‖A‖²)/16 the row itself is summed in f64. So n is off by at most
// 16·(in + 2·r + 6)·2⁻²⁴ of itself, on every backend that can be read at once. On others ‖W‖² is computed
// in f32 in each call, which costs one product with W of a single row, and a floor of 2⁻²⁰·‖W‖² under n²
// keeps m/n finite. Under dropout only the update and a
// second product with W see the thinned input, as in PEFT: y + (m/n − 1) ⊙ W∘x̃ + m/n ⊙ s·B∘(A∘x̃). After
// another variant DoRA acts on the result so far, less the bias; its norm is that of the base.
// In a convolution of g groups, W + s·B·A does not exist. PEFT 0.21 takes B [out, r/g] for [out/g, r]
// there and its product with A, row after row, for the shape of W; files are trained with that norm.

import { isRecording } from '../../core/op.ts'
import type { Parameter } from '../../core/parameter.ts'
import { scoped } from '../../core/scope.ts'
import { noGrad } from '../../core/tape.ts'
import { type Tensor, tensor } from '../../core/tensor.ts'
import type { Adaptable } from '../../nn/adaptable.ts'
import { add } from '../../ops/add.ts'
import { cast } from '../../ops/cast.ts'
import { cat } from '../../ops/cat.ts'
import { div } from '../../ops/div.ts'
import { dropout } from '../../ops/dropout.ts'
import type { LowRank } from '../../ops/lora_linear.ts'
import { loraMerge } from '../../ops/lora_merge.ts'
import { matmul } from '../../ops/matmul.ts'
import { mul } from '../../ops/mul.ts'
import { norm } from '../../ops/norm.ts'
import { relu } from '../../ops/relu.ts'
import { reshape } from '../../ops/reshape.ts'
import { sqrt } from '../../ops/sqrt.ts'
import { sub } from '../../ops/sub.ts'
import { sum } from '../../ops/sum.ts'
import { transpose } from '../../ops/transpose.ts'
import { isFlag } from '../config.ts'
import type { Extension } from '../extension.ts'
import { madeParameter } from '../made_parameter.ts'
import { matrixUpdates } from '../merged.ts'
import { splitRows } from '../rows.ts'
import { type LoraState, updatesOf } from '../state.ts'
import type { Variant, VariantCall } from '../variant.ts'

/** The option of DoRA. */
export interface DoraConfig {
  readonly useDora?: boolean
}

const MAGNITUDE = 'lora_magnitude_vector'

/** Σ W² per row of W [out, in], by the storage of W: a frozen weight is read once. */
const squares: WeakMap<object, Float64Array> = new WeakMap()

function squaredRows(base: Adaptable, weight: Tensor): Float64Array {
  const known = weight.requiresGrad ? undefined : squares.get(weight.storage)
  if (known) {
    return known
  }
  const matrix = scoped(() => base.oriented(weight))
  const [rows, cols] = matrix.shape
  const data = matrix.dataSync()
  const sums = Float64Array.from({ length: rows }, (_, row) => {
    let total = 0
    for (let i = row * cols; i < (row + 1) * cols; i++) {
      total += data[i] * data[i]
    }
    return total
  })
  // What is trained is written in place, so what was known of it before is wrong afterwards.
  if (weight.requiresGrad) {
    squares.delete(weight.storage)
  } else {
    squares.set(weight.storage, sums)
  }
  return sums
}

/** The update as one product: factors that act together are laid side by side, scales go into B. */
function stacked(base: Adaptable, state: LoraState): { A: Tensor; B: Tensor } {
  const updates = matrixUpdates(base, state)
  const [As, Bs] = [updates.map(({ A }) => A), updates.map(({ B, scale }) => mul(B, scale))]
  return updates.length === 1 ? { A: As[0], B: Bs[0] } : { A: cat(As), B: cat(Bs, { dim: 1 }) }
}

/** Rows of which n² is too small beside what it is the sum of. */
function cancelledRows(
  rows: Float64Array,
  squared: ArrayLike<number>,
  { A, B }: { A: Tensor; B: Tensor },
): number[] {
  const total = (x: ArrayLike<number>, start: number, end: number): number => {
    let sum = 0
    for (let i = start; i < end; i++) {
      sum += x[i] * x[i]
    }
    return sum
  }
  const [a, b] = [A.dataSync(), B.dataSync()]
  const R = A.shape[0]
  const factorA = total(a, 0, a.length)
  return [...rows.keys()].filter(row => {
    const terms = rows[row] + total(b, row * R, (row + 1) * R) * factorA
    return squared[row] * 16 < terms
  })
}

/** Σ (W + s·B·A)² of some rows, in f64. */
function exactSquares(
  base: Adaptable,
  weight: Tensor,
  state: LoraState,
  rows: readonly number[],
): number[] {
  const matrix = base.oriented(weight)
  const W = matrix.dataSync()
  const I = matrix.shape[1]
  const updates = matrixUpdates(base, state).map(({ A, B, scale }) => {
    return { a: A.dataSync(), b: B.dataSync(), R: A.shape[0], scale }
  })
  return rows.map(row => {
    const values = Float64Array.from(W.subarray(row * I, (row + 1) * I))
    for (const { a, b, R, scale } of updates) {
      for (let r = 0; r < R; r++) {
        const factor = scale * b[row * R + r]
        for (let i = 0; i < I; i++) {
          values[i] += factor * a[r * I + i]
        }
      }
    }
    return values.reduce((sum, value) => sum + value * value, 0)
  })
}

/** Σ W² per row [out]: where it cannot be read it is computed in f32, each time. */
function squaredTensor(base: Adaptable, weight: Tensor): Tensor {
  const { backend } = weight
  if (backend.synchronous) {
    const rows = squaredRows(base, weight)
    return tensor(rows, [rows.length], { backend })
  }
  const rows = norm(cast(base.oriented(weight), 'float32'), { dim: 1 })
  return mul(rows, rows)
}

/** n² [out] without rows that rounding has eaten. */
function restored(
  base: Adaptable,
  weight: Tensor,
  state: LoraState,
  squared: Tensor,
  factors: { A: Tensor; B: Tensor },
): Tensor {
  const { backend } = weight
  if (!backend.synchronous) {
    const floor = mul(squaredTensor(base, weight), 1 / 0x100000)
    return add(relu(sub(squared, floor)), floor)
  }
  const rows = squaredRows(base, weight)
  const values = squared.dataSync()
  const lost = cancelledRows(rows, values, factors)
  if (lost.length === 0) {
    return squared
  }
  for (const [i, square] of exactSquares(base, weight, state, lost).entries()) {
    values[lost[i]] = square
  }
  return tensor(values, squared.shape, { backend })
}

function isGrouped(base: Adaptable): boolean {
  return base.weight.size !== base.inFeatures * base.outFeatures
}

/** n [out] of a convolution in groups. */
function groupedNorm(base: Adaptable, weight: Tensor, state: LoraState): Tensor {
  const matrix = cast(base.oriented(weight), 'float32')
  const whole = updatesOf(state).reduce((sum, { A, B, scale }) => {
    const [r] = A.shape
    const product = matmul(reshape(B, [B.size / r, r]), reshape(A, [r, A.size / r]))
    return add(sum, mul(reshape(product, matrix.shape), scale))
  }, matrix)
  return norm(whole, { dim: 1 })
}

/** n [out]: in closed form, but where that would be wrong. */
function weightNorm(base: Adaptable, weight: Tensor, state: LoraState): Tensor {
  if (isGrouped(base)) {
    return groupedNorm(base, weight, state)
  }
  const factors = stacked(base, state)
  const { A, B } = factors
  const cross = mul(transpose(base.project(A, weight), 0, 1), 2)
  const own = matmul(B, matmul(A, A, { transposeB: true }))
  const change = sum(mul(add(cross, own), B), { dim: 1 })
  const squared = add(change, squaredTensor(base, weight))
  return sqrt(restored(base, weight, state, squared, factors))
}

interface KnownNorm {
  /** The storages that it was computed from: what is written anew gets another. */
  readonly from: readonly object[]
  readonly norm: Tensor
}

const knownNorms: WeakMap<LoraState, KnownNorm> = new WeakMap()

/** n, without a gradient; computed again only where something may have changed. */
function detachedNorm(base: Adaptable, weight: Tensor, state: LoraState): Tensor {
  const parts = [weight, state.A, state.B]
  const known = knownNorms.get(state)
  if (known?.from.every((storage, i) => storage === parts[i].storage) && areFrozen(parts)) {
    return known.norm
  }
  const norm = noGrad(() => scoped(() => weightNorm(base, weight, state)))
  if (areFrozen(parts) && norm.backend.synchronous) {
    const kept = tensor(norm.dataSync(), norm.shape, { backend: norm.backend })
    knownNorms.set(state, { from: parts.map(({ storage }) => storage), norm: kept })
  } else {
    knownNorms.delete(state)
  }
  return norm
}

function areFrozen(parts: readonly Tensor[]): boolean {
  return parts.every(({ requiresGrad }) => !requiresGrad)
}

/** m/n as it is multiplied into y. */
function factor(base: Adaptable, weight: Tensor, state: LoraState): Tensor {
  const magnitude = state.extra?.[MAGNITUDE] as Parameter
  const norm = detachedNorm(base, weight, state)
  return div(magnitude, reshape(norm, magnitude.shape))
}

/** A vector per output as it is added to y. */
function perOutput(base: Adaptable, vector: Tensor): Tensor {
  return base.perOutput ? reshape(vector, base.perOutput) : vector
}

/** y so far with further updates, and without the bias. */
function unbiased(call: VariantCall, updates: readonly LowRank[]): Tensor {
  const { layer, x, y, weight, bias } = call
  const { base } = layer
  if (y === undefined) {
    return base.updated(x, updates, weight, undefined)
  }
  const before = bias ? sub(y, perOutput(base, bias)) : y
  return add(before, base.updated(x, updates, undefined, undefined))
}

function biased({ layer, bias }: VariantCall, y: Tensor): Tensor {
  return bias ? add(y, perOutput(layer.base, bias)) : y
}

/** The two products with thinned input replace those with x only in what DoRA adds. */
function underDropout(call: VariantCall, m: Tensor): Tensor {
  const { layer, x, state, weight, pending } = call
  const { base } = layer
  const updates = updatesOf(state)
  const start = updates.slice(1)
  const thinned = dropout(x, state.loraDropout)
  const whole = base.updated(thinned, updates, weight, undefined)
  const part = base.updated(thinned, start, weight, undefined)
  const before = unbiased(call, [...pending, ...start])
  return biased(call, add(before, sub(mul(whole, m), part)))
}

const doraVariant: Variant = {
  name: 'dora',
  split: splitRows,
  padsWithZeros: true,

  extraShapes: base => ({ [MAGNITUDE]: base.perOutput ?? [base.outFeatures] }),

  extraStart({ base }, state) {
    const norm = detachedNorm(base, base.weight, state)
    const shape = base.perOutput ?? [base.outFeatures]
    const { synchronous } = norm.backend
    return {
      [MAGNITUDE]: synchronous ? norm.dataSync() : madeParameter(() => reshape(norm, shape)),
    }
  },

  forward(call) {
    const { layer, x, state, weight, pending } = call
    const m = factor(layer.base, weight, state)
    if (state.loraDropout > 0 && isRecording() && x.dtype !== 'int32') {
      return underDropout(call, m)
    }
    return biased(call, mul(unbiased(call, [...pending, ...updatesOf(state)]), m))
  },

  sum: add,

  merge({ base }, matrix, state) {
    const weight = state.own?.weight ?? base.weight
    const m = reshape(factor(base, weight, state), [base.outFeatures, 1])
    return mul(loraMerge(matrix, matrixUpdates(base, state)), m)
  },
}

export const dora: Extension = {
  name: 'dora',
  options: {
    useDora: (value, config, extensions) =>
      value && config.loraBias ? 'false beside loraBias' : isFlag(value, config, extensions),
  },
  variant: ({ useDora }) => (useDora ? doraVariant : undefined),
}

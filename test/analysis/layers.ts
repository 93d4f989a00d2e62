// Layers with made-up adapters, their changes as dense matrices, and how far the two may be apart.

import type { Backend } from '../../src/core/backend.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { Random } from '../../src/core/rng.ts'
import { multiply } from '../../src/linalg/index.ts'
import { LoraModule } from '../../src/lora/module.ts'
import type { LoraState } from '../../src/lora/state.ts'
import { Linear } from '../../src/nn/linear.ts'
import { bound, randomMatrix } from '../linalg/matrices.ts'

export interface MadeUp {
  readonly rows: number
  readonly cols: number
  /** One adapter per rank. */
  readonly ranks: readonly number[]
  readonly scaling: number
  readonly seed: number
}

export function stateOf(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  r: number,
  scaling: number,
  backend: Backend,
): LoraState {
  const A = new Parameter(a, [r, a.length / r], { backend })
  const B = new Parameter(b, [b.length / r, r], { backend })
  return { r, loraAlpha: scaling * r, scaling, loraDropout: 0, A, B, bias: undefined }
}

/** A layer with adapters a0, a1, …, all active; each one's scale is its own. */
export function madeUpLayer(sizes: MadeUp, backend: Backend): LoraModule {
  const { rows, cols, ranks, scaling, seed } = sizes
  const random = new Random(seed)
  const base = new Linear(cols, rows, { bias: false, backend })
  base.weight.replace(randomMatrix(random, rows, cols))
  const layer = new LoraModule(base)
  ranks.forEach((r, i) => {
    const a = randomMatrix(random, r, cols)
    const b = randomMatrix(random, rows, r)
    layer.adapters.set(`a${i}`, stateOf(a, b, r, scaling * (i + 1), backend))
  })
  layer.active = [...layer.adapters.keys()]
  return layer
}

/** Σ s·B·A [rows, cols], every element formed. */
export function denseChange(states: readonly LoraState[]): Float64Array {
  const rows = states[0].B.shape[0]
  const cols = states[0].A.shape[1]
  const sum = new Float64Array(rows * cols)
  for (const { A, B, r, scaling } of states) {
    const a = Float64Array.from(A.dataSync())
    const b = Float64Array.from(B.dataSync())
    multiply(b, a, rows, r, cols).forEach((value, at) => {
      sum[at] += scaling * value
    })
  }
  return sum
}

export function norm(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0))
}

/**
 * How far a singular value or norm may be from the dense one: both sides are f64 of the same
 * elements, so rounding alone, of matrices whose entries are at most |s| · R in size.
 */
export function slack({ rows, cols, ranks, scaling }: MadeUp): number {
  const inner = ranks.reduce((sum, r) => sum + r, 0)
  const size = Math.abs(scaling) * ranks.length * inner * Math.sqrt(rows * cols)
  return bound(rows, cols) * size
}

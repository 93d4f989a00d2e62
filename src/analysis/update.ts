// The change of one layer as a product of two f64 matrices: ΔW = s·B·A, B [O, R], A [R, I], with s
// folded into B. Several adapters at once are one product of stacked factors,
// Σ sₖ·Bₖ·Aₖ = [s₁B₁ s₂B₂ …]·[A₁; A₂; …], so that no O × I matrix is ever formed.

import { LowrankError } from '../core/errors.ts'
import type { Tensor } from '../core/tensor.ts'
import { type Svd, svdOfProduct } from '../linalg/svd.ts'
import type { LoraState } from '../lora/state.ts'

/** One adapter on a layer, or several that act together. */
export type LayerUpdate = LoraState | readonly LoraState[]

interface Factors {
  /** [rows, inner], scaled. */
  readonly b: Float64Array
  /** [inner, cols]. */
  readonly a: Float64Array
  readonly rows: number
  readonly inner: number
  readonly cols: number
}

function statesOf(where: string, update: LayerUpdate): readonly LoraState[] {
  const states = Array.isArray(update) ? (update as readonly LoraState[]) : [update as LoraState]
  if (states.length === 0) {
    throw new LowrankError('argument', `${where}: expected at least one adapter on it, got none`)
  }
  const whole = states.find(({ variant }) => variant?.merge)?.variant
  if (whole) {
    throw new LowrankError(
      'target',
      `${where}: expected updates s·B·A, got ${whole.name}, which changes the whole weight ` +
        '(take the difference of mergedLayer and the base)',
    )
  }
  return states
}

interface Term {
  readonly A: Tensor
  readonly B: Tensor
  readonly r: number
  readonly scaling: number
}

/** What an adapter adds, and what its start subtracts, as matrices of rank r. */
function termsOf({ A, B, r, scaling, start }: LoraState): Term[] {
  const own = { A, B, r, scaling }
  return start ? [own, { ...start, r, scaling: -scaling }] : [own]
}

async function factorsOf(states: readonly LoraState[]): Promise<Factors> {
  const terms = states.flatMap(termsOf)
  // A convolution's factors have more axes than a matrix.
  const rows = terms[0].B.size / terms[0].r
  const cols = terms[0].A.size / terms[0].r
  const inner = terms.reduce((sum, { r }) => sum + r, 0)
  const b = new Float64Array(rows * inner)
  const a = new Float64Array(inner * cols)
  let from = 0
  for (const { A, B, r, scaling } of terms) {
    a.set(await A.data(), from * cols)
    const own = await B.data()
    for (let at = 0; at < own.length; at++) {
      b[Math.floor(at / r) * inner + from + (at % r)] = scaling * own[at]
    }
    from += r
  }
  return { b, a, rows, inner, cols }
}

/** The singular value decomposition of ΔW, from a matrix of R × R. */
export async function svdOfUpdate(where: string, update: LayerUpdate): Promise<Svd> {
  const { b, a, rows, inner, cols } = await factorsOf(statesOf(where, update))
  return svdOfProduct(b, a, rows, inner, cols)
}

/** Σx². */
export function sumOfSquares(values: ArrayLike<number>): number {
  let sum = 0
  for (let at = 0; at < values.length; at++) {
    sum += values[at] * values[at]
  }
  return sum
}

/** √Σx², the Frobenius norm of a matrix from its elements or from its singular values. */
export function frobenius(values: ArrayLike<number>): number {
  return Math.sqrt(sumOfSquares(values))
}

/** How many singular values [k], descending, stand out of the rounding of a rows × cols matrix. */
export function numericalRank(s: Float64Array, rows: number, cols: number): number {
  const floor = Number.EPSILON * Math.max(rows, cols) * (s[0] ?? 0)
  return s.filter(value => value > floor).length
}

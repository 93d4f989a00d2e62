// An update as a product of two factors again: the singular value decomposition
// ΔW [M, N] ≈ U · diag(σ) · Vᵀ cut to rank r gives B = U·diag(σ) [M, r] and A = Vᵀ [r, N], the best
// approximation of that rank (Eckart and Young 1936). Where ΔW is known as a sum of products, it is
// decomposed without being formed.

import { multiply } from '../../linalg/dense.ts'
import { leadingSvd } from '../../linalg/partial.ts'
import { type Svd, svdOfProduct } from '../../linalg/svd.ts'

/** An update as factors: A [r, cols], B [rows, r]. */
export interface Factors {
  readonly A: Float64Array
  readonly B: Float64Array
  readonly r: number
}

/** The factors of one adapter on one layer, with the factor s·w that its product has. */
export interface ScaledFactors extends Factors {
  /** The adapter's name, which names its random draws. */
  readonly name: string
  readonly scaling: number
  readonly weight: number
}

export interface MatrixShape {
  readonly rows: number
  readonly cols: number
}

/** Copies a [rows, from] into the first columns of [rows, to], the rest being zero. */
export function widenColumns(
  a: Float64Array,
  rows: number,
  from: number,
  to: number,
): Float64Array {
  const wide = new Float64Array(rows * to)
  const kept = Math.min(from, to)
  for (let row = 0; row < rows; row++) {
    wide.set(a.subarray(row * from, row * from + kept), row * to)
  }
  return wide
}

/** The same product with rank `r`: columns of B and rows of A that are added are zero. */
export function padded(factors: Factors, { rows, cols }: MatrixShape, r: number): Factors {
  const A = new Float64Array(r * cols)
  A.set(factors.A.subarray(0, Math.min(r, factors.r) * cols))
  return { A, B: widenColumns(factors.B, rows, factors.r, r), r }
}

/** Σ w·s·B·A as one product of stacked factors: [B₁ B₂ …]·[w₁s₁A₁; w₂s₂A₂; …]. */
export function stacked(parts: readonly ScaledFactors[], { rows, cols }: MatrixShape): Factors {
  const r = parts.reduce((sum, part) => sum + part.r, 0)
  const A = new Float64Array(r * cols)
  const B = new Float64Array(rows * r)
  let from = 0
  for (const part of parts) {
    A.set(
      part.A.map(value => value * part.weight * part.scaling),
      from * cols,
    )
    for (let row = 0; row < rows; row++) {
      B.set(part.B.subarray(row * part.r, (row + 1) * part.r), row * r + from)
    }
    from += part.r
  }
  return { A, B, r }
}

/** s·B·A [rows, cols], formed. */
export function product(part: ScaledFactors, { rows, cols }: MatrixShape): Float64Array {
  const formed = multiply(part.B, part.A, rows, part.r, cols)
  return formed.map(value => value * part.scaling)
}

/** The quantile q of values, interpolated linearly between neighbours. */
function quantile(values: Float64Array, q: number): number {
  const sorted = values.toSorted()
  const place = q * (sorted.length - 1)
  const below = Math.floor(place)
  const above = Math.min(below + 1, sorted.length - 1)
  return sorted[below] + (place - below) * (sorted[above] - sorted[below])
}

function clamped({ A, B, r }: Factors, clamp: number): Factors {
  const all = new Float64Array(A.length + B.length)
  all.set(B)
  all.set(A, B.length)
  const most = quantile(all, clamp)
  // As torch.clamp: where the bounds cross, the upper one counts.
  const cut = (value: number): number => Math.min(Math.max(value, -most), most)
  return { A: A.map(cut), B: B.map(cut), r }
}

function factorsOf({ u, s, vt, k }: Svd, shape: MatrixShape, r: number, clamp?: number): Factors {
  const B = u.map((value, at) => value * s[at % k])
  const cut = padded({ A: vt, B, r: k }, shape, Math.min(r, k))
  return padded(clamp === undefined ? cut : clamped(cut, clamp), shape, r)
}

/** The best factors of rank `r` for a matrix [rows, cols]. */
export function refactor(
  update: Float64Array,
  shape: MatrixShape,
  r: number,
  clamp?: number,
): Factors {
  const k = Math.min(r, shape.rows, shape.cols)
  return factorsOf(leadingSvd(update, shape.rows, shape.cols, k), shape, r, clamp)
}

/** The best factors of rank `r` for a product, which is not formed. */
export function refactorProduct(
  { A, B, r: inner }: Factors,
  shape: MatrixShape,
  r: number,
  clamp?: number,
): Factors {
  return factorsOf(svdOfProduct(B, A, shape.rows, inner, shape.cols), shape, r, clamp)
}

// Some or all singular values of a matrix that is too large for Jacobi rotations: A [M, N], M ≥ N, is
// made bidiagonal, A = L·B·Rᵀ, and B diagonal; of the vectors only those of the values wanted are
// formed. A much taller matrix is first made square by QR.
// Absolute accuracy, a small multiple of ε·σ₁; values far below σ₁ keep fewer digits than by Jacobi.

import { applyLeft, applyRightVectors, bidiagonalize } from './bidiagonal.ts'
import { multiply, transpose } from './dense.ts'
import { diagonalize } from './implicit_qr.ts'
import { qr } from './qr.ts'

/** Vectors in columns: `left` [rows, k], `right` [cols, k]; `values` [k] descending. */
export interface LargeSvd {
  readonly left: Float64Array
  readonly values: Float64Array
  readonly right: Float64Array
}

/** From this ratio on, QR first costs less. */
const TALL = 1.6

/** Columns of vectors that are rotated at once: a few of their rows fit a cache. */
const STRIP = 64

/** The unit vectors of `chosen` as columns [n, k], each times its sign. */
function unitColumns(n: number, chosen: readonly number[], sign: (i: number) => number) {
  const columns = new Float64Array(n * chosen.length)
  chosen.forEach((i, c) => {
    columns[i * chosen.length + c] = sign(i)
  })
  return columns
}

function strips(chosen: readonly number[]): number[][] {
  const count = Math.ceil(chosen.length / STRIP)
  return Array.from({ length: count }, (_, i) => chosen.slice(i * STRIP, (i + 1) * STRIP))
}

/** Puts [n, width] into columns `from` and up of [n, k]. */
function place(part: Float64Array, width: number, into: Float64Array, k: number, from: number) {
  for (let row = 0; row * width < part.length; row++) {
    into.set(part.subarray(row * width, (row + 1) * width), row * k + from)
  }
}

function decompose(
  a: Float64Array,
  rows: number,
  cols: number,
  from: number,
  to: number,
): LargeSvd {
  const factors = bidiagonalize(a.slice(), rows, cols)
  const { d, left: rotateLeft, right: rotateRight } = diagonalize(factors.d, factors.e)
  const order = Array.from(d.keys()).sort((i, j) => Math.abs(d[j]) - Math.abs(d[i]) || i - j)
  const chosen = order.slice(from, to)
  const k = chosen.length
  const left = new Float64Array(cols * k)
  const right = new Float64Array(cols * k)
  let at = 0
  for (const strip of strips(chosen)) {
    const l = unitColumns(cols, strip, () => 1)
    const r = unitColumns(cols, strip, i => (d[i] < 0 ? -1 : 1))
    rotateLeft(l, strip.length)
    rotateRight(r, strip.length)
    place(l, strip.length, left, k, at)
    place(r, strip.length, right, k, at)
    at += strip.length
  }
  return {
    left: applyLeft(factors, left, k),
    values: Float64Array.from(chosen, i => Math.abs(d[i])),
    right: applyRightVectors(factors, right, k),
  }
}

/**
 * Singular values `from` up to, but without, `to` of `a` [rows, cols], rows ≥ cols, entries near 1.
 */
export function largeSvd(
  a: Float64Array,
  rows: number,
  cols: number,
  from: number,
  to: number,
): LargeSvd {
  if (rows < TALL * cols) {
    return decompose(a, rows, cols, from, to)
  }
  const { q, r } = qr(a, rows, cols)
  const square = decompose(r, cols, cols, from, to)
  return { ...square, left: multiply(q, square.left, rows, cols, to - from) }
}

/** As `largeSvd`, of any shape, with the right vectors in rows: u [rows, k], vt [k, cols]. */
export function orientedSvd(
  a: Float64Array,
  rows: number,
  cols: number,
  from: number,
  to: number,
): { u: Float64Array; s: Float64Array; vt: Float64Array; k: number } {
  const k = to - from
  if (rows >= cols) {
    const { left, values, right } = largeSvd(a, rows, cols, from, to)
    return { u: left, s: values, vt: transpose(right, cols, k), k }
  }
  const { left, values, right } = largeSvd(transpose(a, rows, cols), cols, rows, from, to)
  return { u: right, s: values, vt: transpose(left, cols, k), k }
}

// The singular values of an upper bidiagonal B (diagonal d [N], superdiagonal e [N − 1]) by implicit
// QR: sweeps of plane rotations, alternately of columns and of rows, chase a bulge down a block until
// its last e is negligible. Rotations are written down instead of being applied to vectors, and replayed
// last one first on the unit vectors of those singular values that are wanted: k vectors cost
// O(N²·k), not O(N³).
// Source: Golub and Kahan (1965); Demmel and Kahan, "Accurate singular values of bidiagonal matrices"
// (1990), whose sweep without shift is used where a shift would not be seen; LAPACK's dbdsqr.

import { LowrankError } from '../core/errors.ts'

const EPSILON = 2.220446049250313e-16

/** Rotations of rows (k, k + 1): four numbers each, cosine and sine of the right, then of the left. */
class Rotations {
  #data: Float64Array = new Float64Array(4096)
  #places: Int32Array = new Int32Array(1024)
  count = 0

  add(place: number, cRight: number, sRight: number, cLeft: number, sLeft: number): void {
    if (this.count === this.#places.length) {
      this.#grow()
    }
    const at = 4 * this.count
    this.#places[this.count++] = place
    this.#data[at] = cRight
    this.#data[at + 1] = sRight
    this.#data[at + 2] = cLeft
    this.#data[at + 3] = sLeft
  }

  #grow(): void {
    const data = new Float64Array(2 * this.#data.length)
    const places = new Int32Array(2 * this.#places.length)
    data.set(this.#data)
    places.set(this.#places)
    this.#data = data
    this.#places = places
  }

  /** Applies all rotations of one side, last one first, to the rows of X [n, width]. */
  replay(x: Float64Array, width: number, side: 0 | 2): void {
    for (let i = this.count - 1; i >= 0; i--) {
      const c = this.#data[4 * i + side]
      const s = this.#data[4 * i + side + 1]
      const upper = this.#places[i] * width
      const lower = upper + width
      for (let at = 0; at < width; at++) {
        const p = x[upper + at]
        const q = x[lower + at]
        x[upper + at] = c * p - s * q
        x[lower + at] = s * p + c * q
      }
    }
  }
}

/** c, s, r with c·f + s·g = r and −s·f + c·g = 0. Entries are near 1 or smaller. */
function rotation(f: number, g: number, out: Float64Array): void {
  if (g === 0) {
    out[0] = 1
    out[1] = 0
    out[2] = f
    return
  }
  const r = Math.sqrt(f * f + g * g)
  if (r === 0) {
    // Both squares vanish: what is there is beyond rounding of anything else.
    out[0] = 0
    out[1] = 1
    out[2] = g
    return
  }
  out[0] = f / r
  out[1] = g / r
  out[2] = r
}

/** The smaller singular value of [[f, g], [0, h]]. Source: LAPACK's dlas2. */
function smallerOfTwo(f: number, g: number, h: number): number {
  const fa = Math.abs(f)
  const ga = Math.abs(g)
  const ha = Math.abs(h)
  const small = Math.min(fa, ha)
  const large = Math.max(fa, ha)
  if (small === 0) {
    return 0
  }
  const ratio = 1 + small / large
  const distance = (large - small) / large
  const across = ga / large
  const square = across * across
  const c = 2 / (Math.sqrt(ratio * ratio + square) + Math.sqrt(distance * distance + square))
  return small * c
}

/** One sweep down the block lo … hi with a shift. Source: Golub and Van Loan, algorithm 8.6.1. */
function shiftedSweep(
  d: Float64Array,
  e: Float64Array,
  lo: number,
  hi: number,
  shift: number,
  found: Rotations,
): void {
  const out = new Float64Array(3)
  let f = (Math.abs(d[lo]) - shift) * ((d[lo] >= 0 ? 1 : -1) + shift / d[lo])
  let g = e[lo]
  for (let k = lo; k < hi; k++) {
    rotation(f, g, out)
    const cRight = out[0]
    const sRight = out[1]
    if (k > lo) {
      e[k - 1] = out[2]
    }
    f = cRight * d[k] + sRight * e[k]
    e[k] = cRight * e[k] - sRight * d[k]
    g = sRight * d[k + 1]
    d[k + 1] = cRight * d[k + 1]
    rotation(f, g, out)
    d[k] = out[2]
    f = out[0] * e[k] + out[1] * d[k + 1]
    d[k + 1] = out[0] * d[k + 1] - out[1] * e[k]
    if (k + 1 < hi) {
      g = out[1] * e[k + 1]
      e[k + 1] = out[0] * e[k + 1]
    }
    found.add(k, cRight, sRight, out[0], out[1])
  }
  e[hi - 1] = f
}

/** One sweep without a shift, which keeps small values to their last digits. */
function plainSweep(
  d: Float64Array,
  e: Float64Array,
  lo: number,
  hi: number,
  found: Rotations,
): void {
  const out = new Float64Array(3)
  let c = 1
  let cOld = 1
  let sOld = 0
  for (let k = lo; k < hi; k++) {
    rotation(d[k] * c, e[k], out)
    c = out[0]
    const s = out[1]
    if (k > lo) {
      e[k - 1] = sOld * out[2]
    }
    rotation(cOld * out[2], d[k + 1] * s, out)
    d[k] = out[2]
    found.add(k, c, s, out[0], out[1])
    cOld = out[0]
    sOld = out[1]
  }
  const last = d[hi] * c
  d[hi] = last * cOld
  e[hi - 1] = last * sOld
}

/** The start of the unreduced block that ends at `hi`; negligible superdiagonals become zero. */
function blockStart(d: Float64Array, e: Float64Array, hi: number, floor: number): number {
  let lo = hi
  while (lo > 0) {
    const size = Math.abs(e[lo - 1])
    if (size <= EPSILON * (Math.abs(d[lo]) + Math.abs(d[lo - 1])) || size <= floor) {
      e[lo - 1] = 0
      return lo
    }
    lo--
  }
  return lo
}

function sweepBlock(
  d: Float64Array,
  e: Float64Array,
  lo: number,
  hi: number,
  found: Rotations,
): void {
  const shift = smallerOfTwo(d[hi - 1], e[hi - 1], d[hi])
  const relative = shift / Math.abs(d[lo])
  if (d[lo] === 0 || relative * relative < EPSILON) {
    plainSweep(d, e, lo, hi, found)
  } else {
    shiftedSweep(d, e, lo, hi, shift, found)
  }
}

/** What makes a bidiagonal matrix diagonal: `d` holds the values, some of them negative. */
export interface Diagonalization {
  readonly d: Float64Array
  /** Left and right singular vectors: rotations replayed on X [n, width], in place. */
  left(x: Float64Array, width: number): void
  right(x: Float64Array, width: number): void
}

/** Diagonalizes; `d` and `e` are overwritten. Throws `numeric` if there is no end. */
export function diagonalize(d: Float64Array, e: Float64Array): Diagonalization {
  const found = new Rotations()
  const largest = [...d, ...e].reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const floor = EPSILON * EPSILON * largest
  let left = 30 * d.length
  for (let hi = d.length - 1; hi > 0; ) {
    const lo = blockStart(d, e, hi, floor)
    if (lo === hi) {
      hi--
      continue
    }
    if (left-- === 0) {
      throw new LowrankError(
        'numeric',
        `svd: expected convergence within 30 sweeps a value over ${d.length} values, got none`,
      )
    }
    sweepBlock(d, e, lo, hi, found)
  }
  return {
    d,
    left: (x, width) => found.replay(x, width, 2),
    right: (x, width) => found.replay(x, width, 0),
  }
}

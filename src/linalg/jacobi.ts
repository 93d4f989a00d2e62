// One-sided Jacobi: plane rotations J of the rows of W [N, L] until they are orthogonal to each
// other, J · W₀ = W, so that W₀ = Jᵀ · W. A rotation of rows p, q
// with α = |p|², β = |q|², γ = p·q uses ζ = (β − α) / 2γ, t = sign(ζ) / (|ζ| + √(1 + ζ²)),
// c = 1 / √(1 + t²), s = c·t and takes p ← c·p − s·q, q ← s·p + c·q; then p·q = 0.
// Source: Hestenes (1958); Demmel and Veselić, "Jacobi's method is more accurate than QR" (1992);
// Golub and Van Loan, Matrix Computations (4th ed.), section 8.6.3.

import { LowrankError } from '../core/errors.ts'

/** Rows whose norm is below this count as zero: their products would underflow. */
export const NEGLIGIBLE_NORM = 1e-140

const EPSILON = 2.220446049250313e-16

/** Cyclic Jacobi converges quadratically: some ten sweeps are usual. */
const MAX_SWEEPS = 60

/** The dot product of rows p and q, in four interleaved sums (one adder would wait on itself). */
function dotRows(w: Float64Array, length: number, p: number, q: number): number {
  const a = p * length
  const b = q * length
  const whole = length - (length % 4)
  let sum0 = 0
  let sum1 = 0
  let sum2 = 0
  let sum3 = 0
  for (let i = 0; i < whole; i += 4) {
    sum0 += w[a + i] * w[b + i]
    sum1 += w[a + i + 1] * w[b + i + 1]
    sum2 += w[a + i + 2] * w[b + i + 2]
    sum3 += w[a + i + 3] * w[b + i + 3]
  }
  for (let i = whole; i < length; i++) {
    sum0 += w[a + i] * w[b + i]
  }
  return sum0 + sum1 + (sum2 + sum3)
}

/**
 * Rotates rows p and q by the sine s, with τ = s / (1 + c): p ← p − s·(q + τ·p), which equals
 * c·p − s·q but has no rounded cosine in it, whose error would add up over thousands of rotations.
 */
function rotateRows(
  w: Float64Array,
  length: number,
  p: number,
  q: number,
  s: number,
  tau: number,
): void {
  const a = p * length
  const b = q * length
  for (let i = 0; i < length; i++) {
    const x = w[a + i]
    const y = w[b + i]
    w[a + i] = x - s * (y + tau * x)
    w[b + i] = y + s * (x - tau * y)
  }
}

/** The tangent of the rotation that makes two rows orthogonal; at most 1 in magnitude. */
function tangent(alpha: number, beta: number, gamma: number): number {
  const zeta = (beta - alpha) / (2 * gamma)
  if (Math.abs(zeta) > 1e150) {
    return 1 / (2 * zeta)
  }
  const magnitude = 1 / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta))
  return zeta >= 0 ? magnitude : -magnitude
}

/** One pass over all pairs of rows; says how many were rotated. */
function sweep(
  w: Float64Array,
  rows: number,
  length: number,
  j: Float64Array,
  squares: Float64Array,
): number {
  const tolerance = EPSILON * Math.sqrt(length)
  const negligible = NEGLIGIBLE_NORM * NEGLIGIBLE_NORM
  let rotations = 0
  for (let p = 0; p < rows - 1; p++) {
    for (let q = p + 1; q < rows; q++) {
      const alpha = squares[p]
      const beta = squares[q]
      if (alpha < negligible || beta < negligible) {
        continue
      }
      const gamma = dotRows(w, length, p, q)
      if (Math.abs(gamma) <= tolerance * Math.sqrt(alpha) * Math.sqrt(beta)) {
        continue
      }
      const t = tangent(alpha, beta, gamma)
      const c = 1 / Math.sqrt(1 + t * t)
      const s = c * t
      rotateRows(w, length, p, q, s, s / (1 + c))
      rotateRows(j, rows, p, q, s, s / (1 + c))
      // Near enough to steer by until the next sweep measures again; cancellation can even leave
      // a negative one, which then waits for that sweep.
      squares[p] = alpha - t * gamma
      squares[q] = beta + t * gamma
      rotations++
    }
  }
  return rotations
}

/**
 * Makes the rows of `w` [rows, length] orthogonal in place and returns the rotation J [rows, rows]
 * with J · w(before) = w(after). Entries should be near 1 in size.
 */
export function orthogonalizeRows(w: Float64Array, rows: number, length: number): Float64Array {
  const j = new Float64Array(rows * rows)
  for (let i = 0; i < rows; i++) {
    j[i * rows + i] = 1
  }
  const squares = new Float64Array(rows)
  for (let pass = 0; pass < MAX_SWEEPS; pass++) {
    for (let i = 0; i < rows; i++) {
      squares[i] = dotRows(w, length, i, i)
    }
    if (sweep(w, rows, length, j, squares) === 0) {
      return j
    }
  }
  throw new LowrankError(
    'numeric',
    `svd: expected convergence within ${MAX_SWEEPS} sweeps over ${rows} rows, got none`,
  )
}

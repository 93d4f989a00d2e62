// The register tile: R <= 5 rows by 8 columns of C += A·B over K steps, B a panel [K][8] (or eight
// columns of a row-major matrix), one accumulator per element, k ascending, multiply then add.
// 5 × 8 is 10 accumulators, 2 vectors of B, one splat of A and one product: 14 of the 15 registers
// that engines leave to us on x64. Six rows spill.

/** The tile goes on from the raw sums of the K block before. */
export const RESUME: i32 = 1
/** The tile leaves raw sums for the next K block, or for a narrow last panel. */
export const LEAVE: i32 = 2
/** C is added to. */
export const ACCUMULATE: i32 = 4

@inline
function multiply_add(sum: v128, x: v128, y: v128): v128 {
  return f32x4.add(sum, f32x4.mul(x, y))
}

/** The two vectors of one finished row: alpha·sum, C + alpha·sum, or the raw sum. */
@inline
function finish(low: v128, high: v128, c: usize, alpha: v128, flags: i32): void {
  if (!(flags & LEAVE)) {
    low = f32x4.mul(alpha, low)
    high = f32x4.mul(alpha, high)
    if (flags & ACCUMULATE) {
      low = f32x4.add(v128.load(c), low)
      high = f32x4.add(v128.load(c, 16), high)
    }
  }
  v128.store(c, low)
  v128.store(c, high, 16)
}

/**
 * `count` tiles of R rows. A is read as A[row][k] (rows aStep bytes apart) or, with `columns`, as
 * A[k][row] (k aStep bytes apart). From one tile to the next a, b, c, raw go on by their `…Next`.
 */
@inline
export function tiles(
  R: i32,
  columns: bool,
  count: i32,
  a: usize,
  aStep: usize,
  aNext: usize,
  b: usize,
  bStep: usize,
  bNext: usize,
  K: i32,
  c: usize,
  cStep: usize,
  cNext: usize,
  raw: usize,
  rawStep: usize,
  rawNext: usize,
  alpha: f32,
  flags: i32,
): void {
  const factor = f32x4.splat(alpha)
  for (let tile = 0; tile < count; tile++) {
    let c00 = f32x4.splat(0)
    let c01 = c00
    let c10 = c00
    let c11 = c00
    let c20 = c00
    let c21 = c00
    let c30 = c00
    let c31 = c00
    let c40 = c00
    let c41 = c00
    if (flags & RESUME) {
      let from = raw
      c00 = v128.load(from)
      c01 = v128.load(from, 16)
      if (R > 1) {
        from += rawStep
        c10 = v128.load(from)
        c11 = v128.load(from, 16)
      }
      if (R > 2) {
        from += rawStep
        c20 = v128.load(from)
        c21 = v128.load(from, 16)
      }
      if (R > 3) {
        from += rawStep
        c30 = v128.load(from)
        c31 = v128.load(from, 16)
      }
      if (R > 4) {
        from += rawStep
        c40 = v128.load(from)
        c41 = v128.load(from, 16)
      }
    }
    let row0 = a
    let row1 = a + aStep
    let row2 = row1 + aStep
    let row3 = row2 + aStep
    let row4 = row3 + aStep
    let panel = b
    for (let k = 0; k < K; k++) {
      const b0 = v128.load(panel)
      const b1 = v128.load(panel, 16)
      panel += bStep
      let x = v128.load32_splat(row0)
      c00 = multiply_add(c00, x, b0)
      c01 = multiply_add(c01, x, b1)
      if (R > 1) {
        x = columns ? v128.load32_splat(row0, 4) : v128.load32_splat(row1)
        c10 = multiply_add(c10, x, b0)
        c11 = multiply_add(c11, x, b1)
      }
      if (R > 2) {
        x = columns ? v128.load32_splat(row0, 8) : v128.load32_splat(row2)
        c20 = multiply_add(c20, x, b0)
        c21 = multiply_add(c21, x, b1)
      }
      if (R > 3) {
        x = columns ? v128.load32_splat(row0, 12) : v128.load32_splat(row3)
        c30 = multiply_add(c30, x, b0)
        c31 = multiply_add(c31, x, b1)
      }
      if (R > 4) {
        x = columns ? v128.load32_splat(row0, 16) : v128.load32_splat(row4)
        c40 = multiply_add(c40, x, b0)
        c41 = multiply_add(c41, x, b1)
      }
      if (columns) {
        row0 += aStep
      } else {
        row0 += 4
        row1 += 4
        row2 += 4
        row3 += 4
        row4 += 4
      }
    }
    let to = flags & LEAVE ? raw : c
    const toStep = flags & LEAVE ? rawStep : cStep
    finish(c00, c01, to, factor, flags)
    if (R > 1) {
      to += toStep
      finish(c10, c11, to, factor, flags)
    }
    if (R > 2) {
      to += toStep
      finish(c20, c21, to, factor, flags)
    }
    if (R > 3) {
      to += toStep
      finish(c30, c31, to, factor, flags)
    }
    if (R > 4) {
      to += toStep
      finish(c40, c41, to, factor, flags)
    }
    a += aNext
    b += bNext
    c += cNext
    raw += rawNext
  }
}

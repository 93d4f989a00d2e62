// The register tiles of the products: sums of a·b over K steps, one accumulator per element, k
// ascending, multiply then add. B comes in panels [K][8] (or as eight columns of a row-major
// matrix), A by one splat per row and k.
//   tiles   4 rows by one panel: 8 accumulators, 2 vectors of B, 4 splats and 1 product are
//           the 15 registers that engines leave to us on x64
//           (`ahead`: the same, touching the memory of the next panel)
//   pair    2 rows by two panels, single: 1 row by four, so that enough additions overlap
// Within a step rows go from the last to the first, but results are stored from the first to the
// last: V8 11 orders additions against loads by the order in which their results are used, and with
// the other order it loads everything first and spills.
// For the same reason alpha and the zeros that sums start from are read from memory: a
// loop-invariant vector would occupy a register in the loop.

import { high, load8, low } from './cast'
import { finish, finish_tile } from './finish'
import { Job, LEAVE, RAW_STEP, RESUME, zeros } from './job'

@inline
export function multiply_add(sum: v128, x: v128, y: v128): v128 {
  // The build for engines with relaxed SIMD: one rounding or two, as the CPU likes.
  if (ASC_FEATURE_RELAXED_SIMD) {
    return f32x4.relaxed_madd(x, y, sum)
  }
  return f32x4.add(sum, f32x4.mul(x, y))
}

/**
 * `count` tiles of four rows; with `strips` A comes as [K][4] (or as four columns of a row-major
 * matrix), otherwise in rows. With `ahead` memory that is needed later is touched on the way: there is no
 * instruction to prefetch, and a load whose value nobody wants waits for nothing.
 */
@inline
function tiles(
  strips: bool,
  ahead: bool,
  job: Job,
  count: i32,
  a: usize,
  b: usize,
  c: usize,
  raw: usize,
): void {
  let next = job.ahead
  const aheadStep = job.aheadStep
  for (let tile = 0; tile < count; tile++) {
    const resume = job.flags & RESUME
    const fromRow = resume ? RAW_STEP : 0
    let from = resume ? raw : zeros(job)
    let c00 = v128.load(from)
    let c01 = v128.load(from, 16)
    from += fromRow
    let c10 = v128.load(from)
    let c11 = v128.load(from, 16)
    from += fromRow
    let c20 = v128.load(from)
    let c21 = v128.load(from, 16)
    from += fromRow
    let c30 = v128.load(from)
    let c31 = v128.load(from, 16)
    const aStep = job.aStep
    const bStep = job.bStep
    const depth = job.depth
    let row0 = a
    let row1 = row0 + job.aRow
    let row2 = row1 + job.aRow
    let row3 = row2 + job.aRow
    let panel = b
    for (let k = 0; k < depth; k++) {
      const b0 = v128.load(panel)
      const b1 = v128.load(panel, 16)
      let x = strips ? v128.load32_splat(row0, 12) : v128.load32_splat(row3)
      c30 = multiply_add(c30, x, b0)
      c31 = multiply_add(c31, x, b1)
      x = strips ? v128.load32_splat(row0, 8) : v128.load32_splat(row2)
      c20 = multiply_add(c20, x, b0)
      c21 = multiply_add(c21, x, b1)
      x = strips ? v128.load32_splat(row0, 4) : v128.load32_splat(row1)
      c10 = multiply_add(c10, x, b0)
      c11 = multiply_add(c11, x, b1)
      x = v128.load32_splat(row0)
      c00 = multiply_add(c00, x, b0)
      c01 = multiply_add(c01, x, b1)
      panel += bStep
      if (ahead) {
        load<i32>(next)
        next += aheadStep
      }
      row0 += strips ? aStep : 4
      row1 += 4
      row2 += 4
      row3 += 4
    }
    finish_tile(job, c, raw, c00, c01, c10, c11, c20, c21, c30, c31)
    a += job.aTile
    b += job.bTile
    c += job.cTile
    raw += job.rawTile
  }
}

// Functions of their own: of two calls that differ in a literal alone the optimizer makes one call
// with a chosen operand, and the literal is lost.

export function tiles_rows(job: Job, count: i32, a: usize, b: usize, c: usize, raw: usize): void {
  tiles(false, false, job, count, a, b, c, raw)
}

export function tiles_strips(job: Job, count: i32, a: usize, b: usize, c: usize, raw: usize): void {
  tiles(true, false, job, count, a, b, c, raw)
}

export function tiles_ahead(job: Job, count: i32, a: usize, b: usize, c: usize, raw: usize): void {
  tiles(true, true, job, count, a, b, c, raw)
}

/** One row against `panels` panels of T, four at a time. */
export function single<T>(job: Job, panels: i32, a: usize, b: usize, c: usize, raw: usize): void {
  const aStep = job.aStep
  const bStep = job.bStep
  const bNext = job.bNext
  const depth = job.depth
  for (let panel = 0; panel < panels; panel += 4) {
    const resume = job.flags & RESUME
    const fromNext: usize = resume ? 32 : 0
    let from = resume ? raw : zeros(job)
    let c00 = v128.load(from)
    let c01 = v128.load(from, 16)
    from += fromNext
    let c10 = v128.load(from)
    let c11 = v128.load(from, 16)
    from += fromNext
    let c20 = v128.load(from)
    let c21 = v128.load(from, 16)
    from += fromNext
    let c30 = v128.load(from)
    let c31 = v128.load(from, 16)
    let row = a
    let panel0 = b
    let panel1 = panel + 1 < panels ? panel0 + bNext : panel0
    let panel2 = panel + 2 < panels ? panel1 + bNext : panel1
    let panel3 = panel + 3 < panels ? panel2 + bNext : panel2
    for (let k = 0; k < depth; k++) {
      const x = v128.load32_splat(row)
      let halves = load8<T>(panel3)
      c31 = multiply_add(c31, x, high<T>(panel3, halves))
      c30 = multiply_add(c30, x, low<T>(panel3, halves))
      halves = load8<T>(panel2)
      c21 = multiply_add(c21, x, high<T>(panel2, halves))
      c20 = multiply_add(c20, x, low<T>(panel2, halves))
      halves = load8<T>(panel1)
      c11 = multiply_add(c11, x, high<T>(panel1, halves))
      c10 = multiply_add(c10, x, low<T>(panel1, halves))
      halves = load8<T>(panel0)
      c01 = multiply_add(c01, x, high<T>(panel0, halves))
      c00 = multiply_add(c00, x, low<T>(panel0, halves))
      row += aStep
      panel0 += bStep
      panel1 += bStep
      panel2 += bStep
      panel3 += bStep
    }
    const to = job.flags & LEAVE ? raw : c
    finish(c00, c01, to, job)
    if (panel + 1 < panels) {
      finish(c10, c11, to + 32, job)
    }
    if (panel + 2 < panels) {
      finish(c20, c21, to + 64, job)
    }
    if (panel + 3 < panels) {
      finish(c30, c31, to + 96, job)
    }
    b += 4 * bNext
    c += 128
    raw += 128
  }
}

/** Two rows against `panels` panels of T, two at a time. */
export function pair<T>(job: Job, panels: i32, a: usize, b: usize, c: usize, raw: usize): void {
  const aStep = job.aStep
  const bStep = job.bStep
  const depth = job.depth
  for (let panel = 0; panel < panels; panel += 2) {
    const both = panel + 1 < panels
    const resume = job.flags & RESUME
    let from = resume ? raw : zeros(job)
    let c00 = v128.load(from)
    let c01 = v128.load(from, 16)
    let c02 = v128.load(from, 32)
    let c03 = v128.load(from, 48)
    from += resume ? RAW_STEP : 0
    let c10 = v128.load(from)
    let c11 = v128.load(from, 16)
    let c12 = v128.load(from, 32)
    let c13 = v128.load(from, 48)
    let row0 = a
    let row1 = a + job.aRow
    let panel0 = b
    let panel1 = both ? b + job.bNext : b
    for (let k = 0; k < depth; k++) {
      const x = v128.load32_splat(row0)
      const y = v128.load32_splat(row1)
      let halves = load8<T>(panel1)
      let z = high<T>(panel1, halves)
      c13 = multiply_add(c13, y, z)
      c03 = multiply_add(c03, x, z)
      z = low<T>(panel1, halves)
      c12 = multiply_add(c12, y, z)
      c02 = multiply_add(c02, x, z)
      halves = load8<T>(panel0)
      z = high<T>(panel0, halves)
      c11 = multiply_add(c11, y, z)
      c01 = multiply_add(c01, x, z)
      z = low<T>(panel0, halves)
      c10 = multiply_add(c10, y, z)
      c00 = multiply_add(c00, x, z)
      row0 += aStep
      row1 += aStep
      panel0 += bStep
      panel1 += bStep
    }
    const leave = job.flags & LEAVE
    const to = leave ? raw : c
    const toRow = leave ? RAW_STEP : job.cRow
    finish(c00, c01, to, job)
    finish(c10, c11, to + toRow, job)
    if (both) {
      finish(c02, c03, to + 32, job)
      finish(c12, c13, to + toRow + 32, job)
    }
    b += 2 * job.bNext
    c += 64
    raw += 64
  }
}

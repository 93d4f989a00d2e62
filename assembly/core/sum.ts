// y [outer, inner] = (Σ over the middle axis of x [outer, count, inner]) / divisor, in f64 and rounded
// once. A sum over columns (inner > 1) has one accumulator per column, from the first row on; a sum
// along rows has the eight lanes of row_sum.

import { low, row_sum } from './rows'

/** Four or sixteen columns side by side; sixteen read whole cache lines. */
@inline
function columns(wide: bool, x: usize, y: usize, count: i32, step: usize, divisor: v128): void {
  let a = f64x2.splat(0)
  let b = a
  let c = a
  let d = a
  let e = a
  let f = a
  let g = a
  let h = a
  for (let k = 0; k < count; k++) {
    a = f64x2.add(a, low(v128.load64_zero(x)))
    b = f64x2.add(b, low(v128.load64_zero(x, 8)))
    if (wide) {
      c = f64x2.add(c, low(v128.load64_zero(x, 16)))
      d = f64x2.add(d, low(v128.load64_zero(x, 24)))
      e = f64x2.add(e, low(v128.load64_zero(x, 32)))
      f = f64x2.add(f, low(v128.load64_zero(x, 40)))
      g = f64x2.add(g, low(v128.load64_zero(x, 48)))
      h = f64x2.add(h, low(v128.load64_zero(x, 56)))
    }
    x += step
  }
  store_quotient(y, a, b, divisor)
  if (wide) {
    store_quotient(y + 16, c, d, divisor)
    store_quotient(y + 32, e, f, divisor)
    store_quotient(y + 48, g, h, divisor)
  }
}

@inline
function store_quotient(y: usize, low: v128, high: v128, divisor: v128): void {
  const a = f32x4.demote_f64x2_zero(f64x2.div(low, divisor))
  const b = f32x4.demote_f64x2_zero(f64x2.div(high, divisor))
  v128.store(y, i64x2.shuffle(a, b, 0, 2))
}

function sum_columns(x: usize, y: usize, count: i32, inner: i32, divisor: f64): void {
  const step = <usize>inner << 2
  const divisors = f64x2.splat(divisor)
  let i = 0
  for (; i <= inner - 16; i += 16, x += 64, y += 64) {
    columns(true, x, y, count, step, divisors)
  }
  for (; i <= inner - 4; i += 4, x += 16, y += 16) {
    columns(false, x, y, count, step, divisors)
  }
  for (; i < inner; i++, x += 4, y += 4) {
    let sum: f64 = 0
    for (let k = 0; k < count; k++) {
      sum += <f64>load<f32>(x + <usize>k * step)
    }
    store<f32>(y, <f32>(sum / divisor))
  }
}

export function sum(x: usize, y: usize, outer: i32, count: i32, inner: i32, divisor: f64): void {
  const matrix = <usize>count * <usize>inner << 2
  for (let o = 0; o < outer; o++) {
    if (inner == 1) {
      store<f32>(y, <f32>(row_sum(x, count) / divisor))
    } else {
      sum_columns(x, y, count, inner, divisor)
    }
    x += matrix
    y += <usize>inner << 2
  }
}

/** y [cols] = Σ over the rows of x [rows, cols]. */
export function sum_rows(x: usize, y: usize, rows: i32, cols: i32): void {
  sum_columns(x, y, rows, cols, 1)
}

// y = a / b, broadcast (see broadcast.ts); db = −dy a / b², as (dy / b)(a / b), which overflows later.

import { broadcast2, broadcast3 } from '../core/broadcast'

class Div {
  @inline of(a: v128, b: v128): v128 {
    return f32x4.div(a, b)
  }
}

class DivBackwardB {
  @inline of(dy: v128, a: v128, b: v128): v128 {
    return f32x4.neg(f32x4.mul(f32x4.div(dy, b), f32x4.div(a, b)))
  }
}

export function div(
  a: usize,
  aOffset: i32,
  aRow: i32,
  aCol: i32,
  b: usize,
  bOffset: i32,
  bRow: i32,
  bCol: i32,
  y: usize,
  yOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast2<Div>(a, aOffset, aRow, aCol, b, bOffset, bRow, bCol, y, yOffset, rows, cols)
}

export function div_backward_b(
  dy: usize,
  dyOffset: i32,
  dyRow: i32,
  dyCol: i32,
  a: usize,
  aOffset: i32,
  aRow: i32,
  aCol: i32,
  b: usize,
  bOffset: i32,
  bRow: i32,
  bCol: i32,
  db: usize,
  dbOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<DivBackwardB>(
    dy,
    dyOffset,
    dyRow,
    dyCol,
    a,
    aOffset,
    aRow,
    aCol,
    b,
    bOffset,
    bRow,
    bCol,
    db,
    dbOffset,
    rows,
    cols,
  )
}

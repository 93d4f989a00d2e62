// y = a where the mask is not 0, else b, broadcast (see broadcast.ts). The mask is of 32-bit integers.

import { broadcast3 } from '../core/broadcast'

class Where {
  @inline of(mask: v128, a: v128, b: v128): v128 {
    return v128.bitselect(a, b, i32x4.ne(mask, i32x4.splat(0)))
  }
}

export function where(
  mask: usize,
  maskOffset: i32,
  maskRow: i32,
  maskCol: i32,
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
  broadcast3<Where>(
    mask,
    maskOffset,
    maskRow,
    maskCol,
    a,
    aOffset,
    aRow,
    aCol,
    b,
    bOffset,
    bRow,
    bCol,
    y,
    yOffset,
    rows,
    cols,
  )
}

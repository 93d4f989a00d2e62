// y = a + b, broadcast (see broadcast.ts).

import { broadcast2 } from '../core/broadcast'

class Add {
  @inline of(a: v128, b: v128): v128 {
    return f32x4.add(a, b)
  }
}

export function add(
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
  broadcast2<Add>(a, aOffset, aRow, aCol, b, bOffset, bRow, bCol, y, yOffset, rows, cols)
}

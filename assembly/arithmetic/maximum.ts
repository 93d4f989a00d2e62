// y = max(a, b), NaN where one is NaN, broadcast (see broadcast.ts); da = dy where a wins, dy / 2 where both
// are equal. With a and b swapped the same kernel gives db.

import { broadcast2, broadcast3 } from '../core/broadcast'

class Maximum {
  @inline of(a: v128, b: v128): v128 {
    return f32x4.max(a, b)
  }
}

class MaximumBackward {
  @inline of(dy: v128, a: v128, b: v128): v128 {
    const half = f32x4.mul(dy, f32x4.splat(0.5))
    const won = v128.and(dy, f32x4.gt(a, b))
    return v128.or(won, v128.and(half, f32x4.eq(a, b)))
  }
}

export function maximum(
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
  broadcast2<Maximum>(a, aOffset, aRow, aCol, b, bOffset, bRow, bCol, y, yOffset, rows, cols)
}

export function maximum_backward(
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
  da: usize,
  daOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<MaximumBackward>(
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
    da,
    daOffset,
    rows,
    cols,
  )
}

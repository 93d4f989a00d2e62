// y = (x − t)², broadcast (see broadcast.ts); dx = 2 dy (x − t). With x and t swapped the same kernel
// gives dt.

import { broadcast2, broadcast3 } from './broadcast'

class MseLoss {
  @inline of(x: v128, t: v128): v128 {
    const difference = f32x4.sub(x, t)
    return f32x4.mul(difference, difference)
  }
}

class MseLossBackward {
  @inline of(dy: v128, x: v128, t: v128): v128 {
    return f32x4.mul(f32x4.mul(f32x4.splat(2), dy), f32x4.sub(x, t))
  }
}

export function mse_loss(
  x: usize,
  xOffset: i32,
  xRow: i32,
  xCol: i32,
  t: usize,
  tOffset: i32,
  tRow: i32,
  tCol: i32,
  y: usize,
  yOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast2<MseLoss>(x, xOffset, xRow, xCol, t, tOffset, tRow, tCol, y, yOffset, rows, cols)
}

export function mse_loss_backward(
  dy: usize,
  dyOffset: i32,
  dyRow: i32,
  dyCol: i32,
  x: usize,
  xOffset: i32,
  xRow: i32,
  xCol: i32,
  t: usize,
  tOffset: i32,
  tRow: i32,
  tCol: i32,
  dx: usize,
  dxOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<MseLossBackward>(
    dy,
    dyOffset,
    dyRow,
    dyCol,
    x,
    xOffset,
    xRow,
    xCol,
    t,
    tOffset,
    tRow,
    tCol,
    dx,
    dxOffset,
    rows,
    cols,
  )
}

// Elements of KL(target ‖ input), x being log-probabilities, broadcast (see ../core/broadcast.ts):
//   kl_div       y = t (log t − x), 0 where t = 0;  dx = −dy t;    dt = dy (log t + 1 − x), 0 where t = 0
//   kl_div_log   y = e^t (t − x);                   dx = −dy e^t;  dt = dy e^t (t − x + 1)

import { broadcast2, broadcast3 } from '../core/broadcast'
import { exp_f32x4, log_f32x4 } from '../core/math'

class KlDiv {
  @inline of(x: v128, t: v128): v128 {
    const y = f32x4.mul(t, f32x4.sub(log_f32x4(t), x))
    return v128.and(y, f32x4.ne(t, f32x4.splat(0)))
  }
}

class KlDivBackward {
  @inline of(dy: v128, t: v128): v128 {
    return f32x4.neg(f32x4.mul(dy, t))
  }
}

class KlDivBackwardTarget {
  @inline of(dy: v128, x: v128, t: v128): v128 {
    const slope = f32x4.sub(f32x4.add(log_f32x4(t), f32x4.splat(1)), x)
    return v128.and(f32x4.mul(dy, slope), f32x4.ne(t, f32x4.splat(0)))
  }
}

class KlDivLog {
  @inline of(x: v128, t: v128): v128 {
    return f32x4.mul(exp_f32x4(t), f32x4.sub(t, x))
  }
}

class KlDivLogBackward {
  @inline of(dy: v128, t: v128): v128 {
    return f32x4.neg(f32x4.mul(dy, exp_f32x4(t)))
  }
}

class KlDivLogBackwardTarget {
  @inline of(dy: v128, x: v128, t: v128): v128 {
    const slope = f32x4.add(f32x4.sub(t, x), f32x4.splat(1))
    return f32x4.mul(dy, f32x4.mul(exp_f32x4(t), slope))
  }
}

export function kl_div(
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
  broadcast2<KlDiv>(x, xOffset, xRow, xCol, t, tOffset, tRow, tCol, y, yOffset, rows, cols)
}

export function kl_div_backward(
  dy: usize,
  dyOffset: i32,
  dyRow: i32,
  dyCol: i32,
  t: usize,
  tOffset: i32,
  tRow: i32,
  tCol: i32,
  dx: usize,
  dxOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast2<KlDivBackward>(
    dy,
    dyOffset,
    dyRow,
    dyCol,
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

export function kl_div_backward_target(
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
  dt: usize,
  dtOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<KlDivBackwardTarget>(
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
    dt,
    dtOffset,
    rows,
    cols,
  )
}

export function kl_div_log(
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
  broadcast2<KlDivLog>(x, xOffset, xRow, xCol, t, tOffset, tRow, tCol, y, yOffset, rows, cols)
}

export function kl_div_log_backward(
  dy: usize,
  dyOffset: i32,
  dyRow: i32,
  dyCol: i32,
  t: usize,
  tOffset: i32,
  tRow: i32,
  tCol: i32,
  dx: usize,
  dxOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast2<KlDivLogBackward>(
    dy,
    dyOffset,
    dyRow,
    dyCol,
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

export function kl_div_log_backward_target(
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
  dt: usize,
  dtOffset: i32,
  rows: i32,
  cols: i32,
): void {
  broadcast3<KlDivLogBackwardTarget>(
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
    dt,
    dtOffset,
    rows,
    cols,
  )
}

// Gradients of scaled dot-product attention. The probabilities p of a tile of query rows are computed
// again from the scores and the log-sum-exp that forward saved, p = e^(s - lse):
//   dv += pᵀ dy    dp = dy vᵀ    ds = p (dp - Σ p dp / Σ p)    dq = scale ds k    dk += scale dsᵀ q
// Formulas, operands: src/ops/attention.ts. Tiles ascend, within them query rows.

import { F32, PANELS } from '../core/cast'
import { matmul_scratch } from '../core/job'
import { TILE } from './attention'
import {
  add_mask_gradient,
  cap_row,
  end_key,
  first_key,
  mask_row,
  multiply_row,
  round_up,
  score_gradient_row,
  weight_row,
} from './attention_rows'
import { matmul_nt, matmul_tn, pack_columns_panels, pack_rows_panels } from './products'
import { products, row_sum } from './rows'

/** Floats of scratch for `attention_backward`. */
export function attention_backward_scratch(Tk: i32, D: i32, Dv: i32): i32 {
  const panels = round_up(Tk) * (D + Dv) + round_up(D) * Tk
  return matmul_scratch() + panels + 3 * TILE * round_up(Tk)
}

/** p of a tile of rows, [rows, width] from key `start` to `end`; slopes of the soft cap, if any. */
function probabilities(
  q: usize,
  qRow: i32,
  keys: usize,
  mask: usize,
  maskKind: i32,
  maskRow: i32,
  maskColumn: i32,
  lse: usize,
  rows: i32,
  position: i32,
  start: i32,
  end: i32,
  Tk: i32,
  D: i32,
  scale: f32,
  softcap: f32,
  causal: i32,
  window: i32,
  p: usize,
  slopes: usize,
  scratch: usize,
): void {
  const width = round_up(Tk)
  matmul_nt(q, 0, qRow, keys, start * D, D, F32 | PANELS, p, start, width, rows, end - start, D, scale, 0, scratch)
  for (let row = 0; row < rows; row++) {
    const offset = <usize>(row * width) << 2
    const last = max(start, end_key(position + row, causal, Tk))
    if (softcap != 0) {
      cap_row(p + offset, slopes + offset, start, end, softcap)
    }
    const first = min(last, first_key(position + row, window))
    mask_row(p + offset, start, end, first, last, mask + (<usize>(row * maskRow) << 2), maskKind, maskColumn)
    weight_row(p + offset, start, end, load<f32>(lse + (<usize>row << 2)))
  }
}

/** ds of a tile in the place of dp; adds to dmask if there is one. */
function score_gradients(
  p: usize,
  dp: usize,
  slopes: usize,
  dmask: usize,
  maskRow: i32,
  maskColumn: i32,
  rows: i32,
  width: i32,
  start: i32,
  stop: i32,
  softcap: f32,
): void {
  const count = stop - start
  const end = round_up(stop)
  const begin = <usize>start << 2
  for (let row = 0; row < rows; row++) {
    const offset = <usize>(row * width) << 2
    const sum = row_sum(p + offset + begin, count)
    const weighted = products(p + offset + begin, 0, dp + offset + begin, 0, count)
    // The sum of p is 1 but for the rounding of lse; dividing by it keeps that of ds at 0.
    const along = sum == 0 ? <f32>0 : <f32>(weighted / sum)
    score_gradient_row(p + offset, dp + offset, start, end, along)
    if (dmask) {
      add_mask_gradient(dp + offset, dmask + (<usize>(row * maskRow) << 2), maskColumn, start, stop)
    }
    if (softcap != 0) {
      multiply_row(dp + offset, slopes + offset, start, end)
    }
  }
}

/**
 * dq is written; dk, dv, dmask are added to. What is not needed is told by 0 in needsQ … needsMask.
 */
export function attention_backward(
  dy: usize,
  dyOffset: i32,
  dyBatch: i32,
  dyHead: i32,
  dyRow: i32,
  q: usize,
  qOffset: i32,
  qBatch: i32,
  qHead: i32,
  qRow: i32,
  k: usize,
  kOffset: i32,
  kBatch: i32,
  kHead: i32,
  kRow: i32,
  v: usize,
  vOffset: i32,
  vBatch: i32,
  vHead: i32,
  vRow: i32,
  mask: usize,
  maskKind: i32,
  maskBatch: i32,
  maskHead: i32,
  maskRow: i32,
  maskColumn: i32,
  lse: usize,
  dq: usize,
  needsQ: i32,
  dk: usize,
  needsK: i32,
  dv: usize,
  needsV: i32,
  dmask: usize,
  needsMask: i32,
  B: i32,
  H: i32,
  group: i32,
  Tq: i32,
  Tk: i32,
  D: i32,
  Dv: i32,
  scale: f32,
  softcap: f32,
  causal: i32,
  window: i32,
  queryOffset: i32,
  scratch: usize,
): void {
  const width = round_up(Tk)
  const keys = scratch + (<usize>matmul_scratch() << 2)
  const keyColumns = keys + (<usize>(width * D) << 2)
  const values = keyColumns + (<usize>(round_up(D) * Tk) << 2)
  const p = values + (<usize>(width * Dv) << 2)
  const ds = p + (<usize>(width * TILE) << 2)
  const slopes = ds + (<usize>(width * TILE) << 2)
  const needsScores = needsQ | needsK | needsMask
  const from = first_key(queryOffset, window) & ~7
  const to = max(from, end_key(queryOffset + Tq - 1, causal, Tk))
  for (let b = 0; b < B; b++) {
    for (let head = 0; head < H; head += group) {
      const kAt = kOffset + b * kBatch + (head / group) * kHead
      const vAt = vOffset + b * vBatch + (head / group) * vHead
      const kStart = k + (<usize>kAt << 2)
      pack_rows_panels(kStart, <usize>kRow << 2, from, to, D, keys)
      if (needsQ) {
        pack_columns_panels(kStart, <usize>kRow << 2, from, to, Tk, D, keyColumns)
      }
      if (needsScores) {
        pack_rows_panels(v + (<usize>vAt << 2), <usize>vRow << 2, from, to, Dv, values)
      }
      for (let h = head; h < head + group; h++) {
        for (let row = 0; row < Tq; row += TILE) {
          const rows = min(TILE, Tq - row)
          const position = queryOffset + row
          const start = first_key(position, window) & ~7
          const stop = end_key(position + rows - 1, causal, Tk)
          const qAt = qOffset + b * qBatch + h * qHead + row * qRow
          if (stop <= start) {
            if (needsQ) {
              for (let i = 0; i < rows; i++) {
                memory.fill(dq + (<usize>(qAt + i * qRow) << 2), 0, <usize>D << 2)
              }
            }
            continue
          }
          const count = stop - start
          const dyAt = dyOffset + b * dyBatch + h * dyHead + row * dyRow
          const maskAt = <usize>(b * maskBatch + h * maskHead + row * maskRow) << 2
          probabilities(
            q + (<usize>qAt << 2),
            qRow,
            keys,
            mask + maskAt,
            maskKind,
            maskRow,
            maskColumn,
            lse + (<usize>((b * H + h) * Tq + row) << 2),
            rows,
            position,
            start,
            round_up(stop),
            Tk,
            D,
            scale,
            softcap,
            causal,
            window,
            p,
            slopes,
            scratch,
          )
          if (needsV) {
            matmul_tn(p, start, width, dy, dyAt, dyRow, F32, dv, vAt + start * vRow, vRow, count, Dv, rows, 1, 1, scratch)
          }
          if (needsScores) {
            matmul_nt(dy, dyAt, dyRow, values, start * Dv, Dv, F32 | PANELS, ds, start, width, rows, round_up(stop) - start, Dv, 1, 0, scratch)
            score_gradients(p, ds, slopes, needsMask ? dmask + maskAt : 0, maskRow, maskColumn, rows, width, start, stop, softcap)
          }
          if (needsQ) {
            matmul_nt(ds, start, width, keyColumns, start << 3, Tk, F32 | PANELS, dq, qAt, qRow, rows, D, count, scale, 0, scratch)
          }
          if (needsK) {
            matmul_tn(ds, start, width, q, qAt, qRow, F32, dk, kAt + start * kRow, kRow, count, D, rows, scale, 1, scratch)
          }
        }
      }
    }
  }
}

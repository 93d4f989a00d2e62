// Scaled dot-product attention, y = softmax(mask(scale · q kᵀ)) v per head, in tiles of query rows
// against all keys they see: no [T, T] matrix. Formulas, operands: src/ops/attention.ts. Rows have
// their whole softmax at hand, so that nothing is rescaled on the way; keys and values are packed
// once per head and shared by the query heads of a group.

import { F32, PANELS } from '../core/cast'
import { matmul_scratch } from '../core/job'
import { log_f32x4 } from '../core/math'
import { cap_row, end_key, exp_row, first_key, mask_row, round_up, row_peak, scale_row } from './attention_rows'
import { matmul_nt, pack_columns_panels, pack_rows_panels } from './products'

/** Query rows in a tile: eight register tiles of five. */
export const TILE: i32 = 40

/** Floats of scratch for `attention`. */
export function attention_scratch(Tk: i32, D: i32, Dv: i32): i32 {
  return matmul_scratch() + round_up(Tk) * (D + TILE) + round_up(Dv) * Tk + TILE
}

/** Scores of one row to e^(s - peak); their log-sum-exp to `lse`; 1 / sum, or 0 if no key is seen. */
@inline
function softmax_row(s: usize, start: i32, end: i32, lse: usize): f32 {
  const peak = row_peak(s, start, end)
  if (peak == -Infinity) {
    // e^(s - Infinity) is 0 for every s, so that backward finds no probabilities either.
    store<f32>(lse, Infinity)
    return 0
  }
  const sum = exp_row(s, start, end, peak)
  store<f32>(lse, peak + f32x4.extract_lane(log_f32x4(f32x4.splat(<f32>sum)), 0))
  return <f32>(1 / sum)
}

function clear_rows(y: usize, yStep: usize, lse: usize, rows: i32, Dv: i32): void {
  for (let row = 0; row < rows; row++) {
    store<f32>(lse, Infinity)
    memory.fill(y, 0, <usize>Dv << 2)
    lse += 4
    y += yStep
  }
}

/** Rows of queries against one head of packed keys and values; row r is at position + r step. */
function attend(
  q: usize,
  qRow: i32,
  keys: usize,
  values: usize,
  mask: usize,
  maskKind: i32,
  maskRow: i32,
  maskColumn: i32,
  y: usize,
  yRow: i32,
  lse: usize,
  rows: i32,
  position: i32,
  step: i32,
  Tk: i32,
  D: i32,
  Dv: i32,
  scale: f32,
  softcap: f32,
  causal: i32,
  window: i32,
  tile: usize,
  scratch: usize,
): void {
  const width = round_up(Tk)
  const start = first_key(position, window) & ~7
  const stop = end_key(position + (rows - 1) * step, causal, Tk)
  const yStep = <usize>yRow << 2
  if (stop <= start) {
    clear_rows(y, yStep, lse, rows, Dv)
    return
  }
  const end = round_up(stop)
  const inverses = tile + (<usize>(width * TILE) << 2)
  matmul_nt(q, 0, qRow, keys, start * D, D, F32 | PANELS, tile, start, width, rows, end - start, D, scale, 0, scratch)
  for (let row = 0; row < rows; row++) {
    const s = tile + (<usize>(row * width) << 2)
    const at = position + row * step
    const last = max(start, end_key(at, causal, Tk))
    if (softcap != 0) {
      cap_row(s, 0, start, end, softcap)
    }
    const first = min(last, first_key(at, window))
    mask_row(s, start, end, first, last, mask + (<usize>(row * maskRow) << 2), maskKind, maskColumn)
    const inverse = softmax_row(s, start, end, lse + (<usize>row << 2))
    store<f32>(inverses + (<usize>row << 2), inverse)
  }
  matmul_nt(tile, start, width, values, start << 3, Tk, F32 | PANELS, y, 0, yRow, rows, Dv, stop - start, 1, 0, scratch)
  for (let row = 0; row < rows; row++) {
    const inverse = load<f32>(inverses + (<usize>row << 2))
    if (inverse == 0) {
      memory.fill(y, 0, <usize>Dv << 2)
    } else {
      scale_row(y, inverse, Dv)
    }
    y += yStep
  }
}

/** y, and the log-sum-exp of each row in lse [B, H, Tq]; see the head of this file. */
export function attention(
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
  y: usize,
  yOffset: i32,
  yBatch: i32,
  yHead: i32,
  yRow: i32,
  lse: usize,
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
  const keys = scratch + (<usize>matmul_scratch() << 2)
  const values = keys + (<usize>(round_up(Tk) * D) << 2)
  const tile = values + (<usize>(round_up(Dv) * Tk) << 2)
  const start = first_key(queryOffset, window) & ~7
  const stop = max(start, end_key(queryOffset + Tq - 1, causal, Tk))
  // With one query each, the heads of a group are the rows of one product.
  const together = Tq == 1
  const rows = together ? group : Tq
  const qStep = together ? qHead : qRow
  const yStep = together ? yHead : yRow
  const maskStep = together ? maskHead : maskRow
  for (let b = 0; b < B; b++) {
    for (let head = 0; head < H; head += group) {
      const shared = head / group
      const from = k + (<usize>(kOffset + b * kBatch + shared * kHead) << 2)
      pack_rows_panels(from, <usize>kRow << 2, start, stop, D, keys)
      const fromV = v + (<usize>(vOffset + b * vBatch + shared * vHead) << 2)
      pack_columns_panels(fromV, <usize>vRow << 2, start, stop, Tk, Dv, values)
      for (let h = head; h < head + (together ? 1 : group); h++) {
        for (let row = 0; row < rows; row += TILE) {
          const count = min(TILE, rows - row)
          attend(
            q + (<usize>(qOffset + b * qBatch + h * qHead + row * qStep) << 2),
            qStep,
            keys,
            values,
            mask + (<usize>(b * maskBatch + h * maskHead + row * maskStep) << 2),
            maskKind,
            maskStep,
            maskColumn,
            y + (<usize>(yOffset + b * yBatch + h * yHead + row * yStep) << 2),
            yStep,
            lse + (<usize>((b * H + h) * Tq + row) << 2),
            count,
            queryOffset + (together ? 0 : row),
            together ? 0 : 1,
            Tk,
            D,
            Dv,
            scale,
            softcap,
            causal,
            window,
            tile,
            scratch,
          )
        }
      }
    }
  }
}

// Scaled dot-product attention as plain loops: what its kernels compute. For every batch entry b,
// head h and query t, over the keys j that the query sees,
//
//   s[j] = cap(scale · q · k[j]) + mask     p = e^(s − lse), lse = log Σ_j e^s[j]
//   y = Σ_j p[j] · v[j]
//   dp[j] = dy · v[j]     ds[j] = p[j] · (dp[j] − Σ p dp / Σ p)     dmask[j] = ds[j]
//   dv[j] = p[j] · dy     dq = scale · Σ_j ds'[j] · k[j]     dk[j] = scale · ds'[j] · q
//
// with cap(s) = softcap · tanh(s / softcap) where softcap is not 0, ds' = ds · cap'(s), and a boolean
// mask hiding the keys where it is 0. The query at position p = queryOffset + t sees the keys
// j < Tk; if causal only j ≤ p; if window > 0 only j > p − window. One that sees none gives zeros.
// Head h reads the keys and values of head ⌊h / group⌋.

import type { Floats, Ints } from '../core/backend.ts'
import { exp, log, tanh } from '../core/math.ts'

/** What `maskKind` says. */
export const MASK_KIND = { none: 0, additive: 1, boolean: 2 } as const

/** y, and log Σ_j e^s[j] of each row in lse [B, H, Tq]; Infinity where no key is seen. */
export type AttentionKernel = (
  q: Floats,
  qOffset: number,
  qBatch: number,
  qHead: number,
  qRow: number,
  k: Floats,
  kOffset: number,
  kBatch: number,
  kHead: number,
  kRow: number,
  v: Floats,
  vOffset: number,
  vBatch: number,
  vHead: number,
  vRow: number,
  mask: Floats | Ints,
  maskKind: number,
  maskBatch: number,
  maskHead: number,
  maskRow: number,
  maskColumn: number,
  y: Floats,
  yOffset: number,
  yBatch: number,
  yHead: number,
  yRow: number,
  lse: Floats,
  B: number,
  H: number,
  group: number,
  Tq: number,
  Tk: number,
  D: number,
  Dv: number,
  scale: number,
  softcap: number,
  causal: number,
  window: number,
  queryOffset: number,
  scratch: Floats,
) => void

/** dq is written; dk, dv and dmask are added to. Gradients have the strides of their operands. */
export type AttentionBackwardKernel = (
  dy: Floats,
  dyOffset: number,
  dyBatch: number,
  dyHead: number,
  dyRow: number,
  q: Floats,
  qOffset: number,
  qBatch: number,
  qHead: number,
  qRow: number,
  k: Floats,
  kOffset: number,
  kBatch: number,
  kHead: number,
  kRow: number,
  v: Floats,
  vOffset: number,
  vBatch: number,
  vHead: number,
  vRow: number,
  mask: Floats | Ints,
  maskKind: number,
  maskBatch: number,
  maskHead: number,
  maskRow: number,
  maskColumn: number,
  lse: Floats,
  dq: Floats,
  needsQ: number,
  dk: Floats,
  needsK: number,
  dv: Floats,
  needsV: number,
  dmask: Floats,
  needsMask: number,
  B: number,
  H: number,
  group: number,
  Tq: number,
  Tk: number,
  D: number,
  Dv: number,
  scale: number,
  softcap: number,
  causal: number,
  window: number,
  queryOffset: number,
  scratch: Floats,
) => void

export interface AttentionKernels {
  readonly attention: AttentionKernel
  readonly attention_backward: AttentionBackwardKernel
}

/** The keys that the query at a position sees: from the first up to, not including, the second. */
function visible(position: number, Tk: number, causal: number, window: number): [number, number] {
  const first = window > 0 ? Math.max(0, position - window + 1) : 0
  return [first, causal ? Math.min(Tk, position + 1) : Tk]
}

function dot(a: Floats, aAt: number, b: Floats, bAt: number, n: number): number {
  let sum = 0
  for (let i = 0; i < n; i++) {
    sum += a[aAt + i] * b[bAt + i]
  }
  return sum
}

function masked(score: number, kind: number, element: number): number {
  if (kind === MASK_KIND.boolean) {
    return element === 0 ? Number.NEGATIVE_INFINITY : score
  }
  return kind === MASK_KIND.additive ? score + element : score
}

const attention: AttentionKernel = (
  q,
  qOffset,
  qBatch,
  qHead,
  qRow,
  k,
  kOffset,
  kBatch,
  kHead,
  kRow,
  v,
  vOffset,
  vBatch,
  vHead,
  vRow,
  mask,
  maskKind,
  maskBatch,
  maskHead,
  maskRow,
  maskColumn,
  y,
  yOffset,
  yBatch,
  yHead,
  yRow,
  lse,
  B,
  H,
  group,
  Tq,
  Tk,
  D,
  Dv,
  scale,
  softcap,
  causal,
  window,
  queryOffset,
) => {
  const p = new Float64Array(Tk)
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const shared = Math.floor(h / group)
      for (let t = 0; t < Tq; t++) {
        const qAt = qOffset + b * qBatch + h * qHead + t * qRow
        const yAt = yOffset + b * yBatch + h * yHead + t * yRow
        const maskAt = b * maskBatch + h * maskHead + t * maskRow
        const [first, end] = visible(queryOffset + t, Tk, causal, window)
        let peak = Number.NEGATIVE_INFINITY
        for (let j = first; j < end; j++) {
          const score = scale * dot(q, qAt, k, kOffset + b * kBatch + shared * kHead + j * kRow, D)
          const capped = softcap ? softcap * tanh(score / softcap) : score
          p[j] = masked(capped, maskKind, mask[maskAt + j * maskColumn])
          peak = Math.max(peak, p[j])
        }
        const seesNone = peak === Number.NEGATIVE_INFINITY
        let sum = 0
        for (let j = first; j < end; j++) {
          p[j] = seesNone ? 0 : exp(p[j] - peak)
          sum += p[j]
        }
        lse[(b * H + h) * Tq + t] = seesNone ? Number.POSITIVE_INFINITY : peak + log(sum)
        for (let i = 0; i < Dv; i++) {
          let value = 0
          for (let j = first; j < end; j++) {
            value += p[j] * v[vOffset + b * vBatch + shared * vHead + j * vRow + i]
          }
          y[yAt + i] = seesNone ? 0 : value / sum
        }
      }
    }
  }
}

const attention_backward: AttentionBackwardKernel = (
  dy,
  dyOffset,
  dyBatch,
  dyHead,
  dyRow,
  q,
  qOffset,
  qBatch,
  qHead,
  qRow,
  k,
  kOffset,
  kBatch,
  kHead,
  kRow,
  v,
  vOffset,
  vBatch,
  vHead,
  vRow,
  mask,
  maskKind,
  maskBatch,
  maskHead,
  maskRow,
  maskColumn,
  lse,
  dq,
  needsQ,
  dk,
  needsK,
  dv,
  needsV,
  dmask,
  needsMask,
  B,
  H,
  group,
  Tq,
  Tk,
  D,
  Dv,
  scale,
  softcap,
  causal,
  window,
  queryOffset,
) => {
  const p = new Float64Array(Tk)
  const dp = new Float64Array(Tk)
  const slope = new Float64Array(Tk).fill(1)
  for (let b = 0; b < B; b++) {
    for (let h = 0; h < H; h++) {
      const kHeadAt = kOffset + b * kBatch + Math.floor(h / group) * kHead
      const vHeadAt = vOffset + b * vBatch + Math.floor(h / group) * vHead
      for (let t = 0; t < Tq; t++) {
        const dyAt = dyOffset + b * dyBatch + h * dyHead + t * dyRow
        const qAt = qOffset + b * qBatch + h * qHead + t * qRow
        const maskAt = b * maskBatch + h * maskHead + t * maskRow
        const rowLse = lse[(b * H + h) * Tq + t]
        const [first, end] = visible(queryOffset + t, Tk, causal, window)
        let along = 0
        let sum = 0
        for (let j = first; j < end; j++) {
          const score = scale * dot(q, qAt, k, kHeadAt + j * kRow, D)
          const bent = softcap ? tanh(score / softcap) : 0
          slope[j] = 1 - bent * bent
          const capped = softcap ? softcap * bent : score
          const seen = masked(capped, maskKind, mask[maskAt + j * maskColumn])
          p[j] = exp(seen - rowLse)
          dp[j] = dot(dy, dyAt, v, vHeadAt + j * vRow, Dv)
          along += p[j] * dp[j]
          sum += p[j]
        }
        // The sum of p is 1 but for the rounding of lse, 0 where no key is seen.
        const shift = sum === 0 ? 0 : along / sum
        for (let i = 0; i < D && needsQ; i++) {
          dq[qAt + i] = 0
        }
        for (let j = first; j < end; j++) {
          const ds = p[j] * (dp[j] - shift)
          const dScore = scale * ds * slope[j]
          for (let i = 0; i < D && needsQ; i++) {
            dq[qAt + i] += dScore * k[kHeadAt + j * kRow + i]
          }
          for (let i = 0; i < D && needsK; i++) {
            dk[kHeadAt + j * kRow + i] += dScore * q[qAt + i]
          }
          for (let i = 0; i < Dv && needsV; i++) {
            dv[vHeadAt + j * vRow + i] += p[j] * dy[dyAt + i]
          }
          if (needsMask) {
            dmask[maskAt + j * maskColumn] += ds
          }
        }
      }
    }
  }
}

export const attentionReference: AttentionKernels = { attention, attention_backward }

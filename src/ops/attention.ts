// Scaled dot-product attention: y = softmax(scale · q kᵀ + mask) v for every head, of q [B, Tq, H, D],
// k [B, Tk, Hkv, D], v [B, Tk, Hkv, Dv]: y [B, Tq, H, Dv], as projections leave and take them. Query
// head h reads key head ⌊h · Hkv / H⌋. Forward and gradients as plain loops: attention_reference.ts.
//
// No [Tq, Tk] matrix is kept: saved are q, k, v and one number per row, lse, from which backward computes
// the probabilities again. Sources: Vaswani et al., "Attention is all you need" (arXiv 1706.03762),
// equation 1; Ainslie et al. (2305.13245) for grouped heads; Dao et al. (2205.14135), appendix B, for
// recomputation; Gemma Team (2408.00118) for the soft cap.

import { binary } from '#kernels/transformer'
import type { Floats, Ints } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import { formatShape, type Shape, stridesOf } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { type AttentionKernels, attentionReference, MASK_KIND } from './attention_reference.ts'
import { MATMUL_SCRATCH } from './matmul.ts'

/** The order of the axes: batch, tokens, heads, head size, or heads before tokens as in PyTorch. */
export type AttentionLayout = 'BTHD' | 'BHTD'

export interface AttentionOptions {
  /**
   * What may be seen, of a shape that broadcasts to [B, H, Tq, Tk]: int32, 0 hides a key; float32 is
   * added to the scores. A padding mask [B, Tk] is passed as [B, 1, 1, Tk].
   */
  readonly mask?: Tensor
  /** Query t sees no key after `queryOffset + t`. */
  readonly isCausal?: boolean
  /** Factor of the scores; 1 / √D if absent. */
  readonly scale?: number
  /** Whether k and v may have fewer heads than q, a divisor of theirs. */
  readonly enableGqa?: boolean
  /** The query at position i sees only keys j with i − window < j ≤ i. */
  readonly window?: number
  /** The position of the first query among the keys; 0 if absent. */
  readonly queryOffset?: number
  /** How many keys are in use, where k and v have room for more; all if absent. */
  readonly keyLength?: number
  /** Scores s become softcap · tanh(s / softcap) before the mask. */
  readonly softcap?: number
  /** The axes of q, k, v and y; 'BTHD' if absent. */
  readonly layout?: AttentionLayout
}

interface Strides {
  readonly batch: number
  readonly head: number
  readonly row: number
}

interface MaskStrides extends Strides {
  readonly kind: number
  readonly column: number
}

interface AttentionProblem {
  readonly sizes: {
    readonly B: number
    readonly H: number
    readonly group: number
    readonly Tq: number
    readonly Tk: number
    readonly D: number
    readonly Dv: number
  }
  readonly q: Strides
  readonly k: Strides
  readonly v: Strides
  readonly y: Strides
  readonly mask: MaskStrides
  readonly scale: number
  readonly softcap: number
  readonly causal: number
  readonly window: number
  readonly queryOffset: number
  readonly yShape: Shape
}

const PATTERNS = {
  BTHD: { q: 'B Tq H D', k: 'B T Hkv D', v: 'B T Hkv Dv' },
  BHTD: { q: 'B H Tq D', k: 'B Hkv T D', v: 'B Hkv T Dv' },
} as const

/** Strides of a contiguous operand. */
function stridesIn(shape: Shape, layout: AttentionLayout): Strides {
  const [batch, second, third] = stridesOf(shape)
  return layout === 'BTHD'
    ? { batch, row: second, head: third }
    : { batch, head: second, row: third }
}

function maskStrides(mask: Tensor | undefined, full: Shape): MaskStrides {
  if (!mask) {
    return { kind: MASK_KIND.none, batch: 0, head: 0, row: 0, column: 0 }
  }
  const { shape } = mask
  const missing = full.length - shape.length
  const fits = missing >= 0 && shape.every((size, i) => size === 1 || size === full[missing + i])
  if (!fits) {
    throw new LowrankError(
      'shape',
      `scaledDotProductAttention: mask ${formatShape(shape)} does not broadcast to ` +
        `[B, H, Tq, Tk] = ${formatShape(full)} (a padding mask [B, Tk] goes in as [B, 1, 1, Tk])`,
    )
  }
  const own = stridesOf(shape)
  const [batch, head, row, column] = full.map((_, axis) =>
    axis < missing || shape[axis - missing] === 1 ? 0 : own[axis - missing],
  )
  const kind = mask.dtype === 'int32' ? MASK_KIND.boolean : MASK_KIND.additive
  return { kind, batch, head, row, column }
}

/** Query heads per key head. */
function groupOf(H: number, Hkv: number, enableGqa: boolean): number {
  if (H === Hkv) {
    return 1
  }
  if (enableGqa && Hkv > 0 && H % Hkv === 0) {
    return H / Hkv
  }
  throw new LowrankError(
    'shape',
    `scaledDotProductAttention: expected as many key heads as query heads, got ${Hkv} and ${H} ` +
      '(enableGqa: true takes a divisor of the query heads)',
  )
}

function checkCount(name: string, value: number, least: number, most: number): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    const range = most === Number.POSITIVE_INFINITY ? `${least} up` : `${least} to ${most}`
    throw new LowrankError(
      'argument',
      `scaledDotProductAttention: ${name} must be a whole number from ${range}, got ${value}`,
    )
  }
}

function problemOf(
  [q, k, v, mask]: readonly [Tensor, Tensor, Tensor, Tensor | undefined],
  options: AttentionOptions,
): AttentionProblem {
  const { layout = 'BTHD', window, queryOffset = 0, softcap = 0 } = options
  const patterns = PATTERNS[layout]
  const { B, Tq, H, D } = dims('scaledDotProductAttention: q', q, patterns.q)
  const { T, Hkv } = dims('scaledDotProductAttention: k', k, patterns.k, { B, D })
  const { Dv } = dims('scaledDotProductAttention: v', v, patterns.v, { B, T, Hkv })
  const { keyLength: Tk = T } = options
  checkCount('keyLength', Tk, 0, T)
  checkCount('queryOffset', queryOffset, 0, Number.POSITIVE_INFINITY)
  if (window !== undefined) {
    checkCount('window', window, 1, Number.POSITIVE_INFINITY)
  }
  const yShape = layout === 'BTHD' ? [B, Tq, H, Dv] : [B, H, Tq, Dv]
  return {
    sizes: { B, H, group: groupOf(H, Hkv, options.enableGqa ?? false), Tq, Tk, D, Dv },
    q: stridesIn(q.shape, layout),
    k: stridesIn(k.shape, layout),
    v: stridesIn(v.shape, layout),
    y: stridesIn(yShape, layout),
    mask: maskStrides(mask, [B, H, Tq, Tk]),
    scale: options.scale ?? 1 / Math.sqrt(D),
    softcap,
    causal: options.isCausal || window !== undefined ? 1 : 0,
    // A window longer than the keys hides none.
    window: window === undefined || window >= queryOffset + Tq ? 0 : window,
    queryOffset,
    yShape,
  }
}

/** Floats of scratch for either direction: packed keys and values, three tiles of 40 rows. */
export function attentionScratch(Tk: number, D: number, Dv: number): number {
  const width = (Tk + 7) & ~7
  const columns = ((Math.max(D, Dv) + 7) & ~7) * Tk
  return MATMUL_SCRATCH + width * (D + Dv + 120) + columns + 40
}

function scratchOf({ sizes: { Tk, D, Dv } }: AttentionProblem): number {
  return attentionScratch(Tk, D, Dv)
}

function maskOf(
  context: OpContext<AttentionKernels>,
  mask: Tensor | undefined,
  other: Floats,
): Floats | Ints {
  if (!mask) {
    return other
  }
  return mask.dtype === 'int32' ? context.ints(mask) : context.floats(mask)
}

export interface AttentionSaved {
  readonly problem: AttentionProblem
  readonly q: Tensor
  readonly k: Tensor
  readonly v: Tensor
  readonly mask: Tensor | undefined
  /** The log-sum-exp of each row of scores, [B, H, Tq]. */
  readonly lse: Tensor
}

/** The gradients of q, k, v and the mask, those that are needed. */
function gradientsOf(
  context: OpContext<AttentionKernels>,
  dy: Tensor,
  { problem, q, k, v, mask, lse }: AttentionSaved,
): readonly (Tensor | undefined)[] {
  const { sizes } = problem
  const [needsQ, needsK, needsV, needsMask] = context.needs
  const dq = needsQ ? context.empty(q.shape) : undefined
  const dk = needsK ? context.filled(k.shape, 0) : undefined
  const dv = needsV ? context.filled(v.shape, 0) : undefined
  const dmask = needsMask && mask ? context.filled(mask.shape, 0) : undefined
  const queries = context.floats(q)
  const target = (gradient: Tensor | undefined): Floats =>
    gradient ? context.floats(gradient) : queries
  context.kernels.attention_backward(
    context.floats(dy),
    0,
    problem.y.batch,
    problem.y.head,
    problem.y.row,
    queries,
    0,
    problem.q.batch,
    problem.q.head,
    problem.q.row,
    context.floats(k),
    0,
    problem.k.batch,
    problem.k.head,
    problem.k.row,
    context.floats(v),
    0,
    problem.v.batch,
    problem.v.head,
    problem.v.row,
    maskOf(context, mask, queries),
    problem.mask.kind,
    problem.mask.batch,
    problem.mask.head,
    problem.mask.row,
    problem.mask.column,
    context.floats(lse),
    target(dq),
    dq ? 1 : 0,
    target(dk),
    dk ? 1 : 0,
    target(dv),
    dv ? 1 : 0,
    target(dmask),
    dmask ? 1 : 0,
    sizes.B,
    sizes.H,
    sizes.group,
    sizes.Tq,
    sizes.Tk,
    sizes.D,
    sizes.Dv,
    problem.scale,
    problem.softcap,
    problem.causal,
    problem.window,
    problem.queryOffset,
    context.scratch(scratchOf(problem)),
  )
  return [dq, dk, dv, dmask]
}

export const scaledDotProductAttentionOp: Op<
  AttentionKernels,
  readonly [q: Tensor, k: Tensor, v: Tensor, mask: Tensor | undefined],
  AttentionOptions,
  Tensor,
  AttentionSaved
> = /* @__PURE__ */ defineOp({
  name: 'scaledDotProductAttention',
  reference: attentionReference,
  binary,

  forward(context, inputs, options) {
    const [q, k, v, mask] = inputs
    const problem = problemOf(inputs, options)
    const { sizes } = problem
    const y = context.empty(problem.yShape)
    const lse = context.empty([sizes.B, sizes.H, sizes.Tq])
    const queries = context.floats(q)
    context.kernels.attention(
      queries,
      0,
      problem.q.batch,
      problem.q.head,
      problem.q.row,
      context.floats(k),
      0,
      problem.k.batch,
      problem.k.head,
      problem.k.row,
      context.floats(v),
      0,
      problem.v.batch,
      problem.v.head,
      problem.v.row,
      maskOf(context, mask, queries),
      problem.mask.kind,
      problem.mask.batch,
      problem.mask.head,
      problem.mask.row,
      problem.mask.column,
      context.floats(y),
      0,
      problem.y.batch,
      problem.y.head,
      problem.y.row,
      context.floats(lse),
      sizes.B,
      sizes.H,
      sizes.group,
      sizes.Tq,
      sizes.Tk,
      sizes.D,
      sizes.Dv,
      problem.scale,
      problem.softcap,
      problem.causal,
      problem.window,
      problem.queryOffset,
      context.scratch(scratchOf(problem)),
    )
    return { y, saved: { problem, q, k, v, mask, lse } }
  },

  backward(context, dy, saved) {
    return gradientsOf(context, dy, saved)
  },
})

/**
 * Attention of q [B, Tq, H, D] over k [B, Tk, Hkv, D] and v [B, Tk, Hkv, Dv]: [B, Tq, H, Dv]. A query
 * that sees no key gives zeros. The bits of a row depend on its query and the keys it sees, not on
 * how many queries there are. Throws `shape` and `argument` errors. Source: arXiv 1706.03762.
 *
 * @example
 * ```ts
 * import { scaledDotProductAttention, tensor } from 'lowrank'
 *
 * const x = tensor([1, 0, 0, 1], [1, 2, 1, 2]) // two tokens, one head of size 2
 * const y = scaledDotProductAttention(x, x, x, { isCausal: true })
 * console.log(y.dataSync().slice(0, 2)) // Float32Array [1, 0]
 * ```
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): Tensor {
  return scaledDotProductAttentionOp([q, k, v, options.mask], options)
}

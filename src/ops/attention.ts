// Scaled dot-product attention: y = softmax(scale · q kᵀ + mask) v for every head, of q [B, Tq, H, D],
// k [B, Tk, Hkv, D], v [B, Tk, Hkv, Dv]: y [B, Tq, H, Dv], as projections leave and take them. Query
// head h reads key head ⌊h · Hkv / H⌋. Forward and gradients as plain loops: attention_reference.ts.
//
// No [Tq, Tk] matrix is kept: saved are q, k, v and one number per row, lse, from which backward
// computes the probabilities again. A row whose keys are all hidden by a finite value as large as
// -3e38 has no finite lse but that value: its weights count as 1 each in backward, as in PyTorch.
// Sources: Vaswani et al., "Attention is all you need" (arXiv 1706.03762), equation 1; Ainslie et al.
// (2305.13245) for grouped heads; Dao et al. (2205.14135), appendix B, for recomputation; Gemma Team
// (2408.00118) for the soft cap.

import { transformer as binary } from '#kernels/transformer'
import type { Floats, Ints } from '../core/backend.ts'
import { defineOp, type Op, type OpContext } from '../core/op.ts'
import type { Tensor } from '../core/tensor.ts'
import { type AttentionKernels, attentionReference } from './attention_reference.ts'
import {
  type AttentionOptions,
  type AttentionProblem,
  attentionProblem,
} from './attention_shape.ts'

export type { AttentionLayout, AttentionOptions } from './attention_shape.ts'

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
  const [needsQ, needsK, needsV, needsMask] = context.needs
  const dq = needsQ ? context.empty(q.shape) : undefined
  const dk = needsK ? context.filled(k.shape, 0) : undefined
  const dv = needsV ? context.filled(v.shape, 0) : undefined
  const dmask = needsMask && mask ? context.filled(mask.shape, 0) : undefined
  const queries = context.floats(q)
  // What is not needed is any buffer and a 0: the kernel does not look at it.
  const target = (gradient: Tensor | undefined): [Floats, number] =>
    gradient ? [context.floats(gradient), 1] : [queries, 0]
  context.kernels.attention_backward(
    context.floats(dy),
    ...problem.y,
    queries,
    ...problem.q,
    context.floats(k),
    ...problem.k,
    context.floats(v),
    ...problem.v,
    maskOf(context, mask, queries),
    ...problem.mask,
    context.floats(lse),
    ...target(dq),
    ...target(dk),
    ...target(dv),
    ...target(dmask),
    ...problem.settings,
    context.scratch(problem.scratch),
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
    const problem = attentionProblem(inputs, options)
    const y = context.empty(problem.yShape)
    const lse = context.empty(problem.lseShape)
    const queries = context.floats(q)
    context.kernels.attention(
      queries,
      ...problem.q,
      context.floats(k),
      ...problem.k,
      context.floats(v),
      ...problem.v,
      maskOf(context, mask, queries),
      ...problem.mask,
      context.floats(y),
      ...problem.y,
      context.floats(lse),
      ...problem.settings,
      context.scratch(problem.scratch),
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

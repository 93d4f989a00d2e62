// Rows of a table: y[..., C] = W[index[...]], W [V, C] in its stored dtype. dW[v] = Σ dy[i] over the
// i with index[i] = v, added in the order of i; the row `paddingIdx` gets none (`torch.nn.Embedding`).

import { transformer as binary } from '#kernels/transformer'
import type { Floats, Ints } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { LowrankError } from '../core/errors.ts'
import { defineOp, type Op } from '../core/op.ts'
import type { Shape } from '../core/shape.ts'
import type { Tensor } from '../core/tensor.ts'
import { checkIndices } from './indices.ts'

export interface EmbeddingKernels {
  /** y[count, C] = rows `index` of w [V, C], stored as `wFormat` says. */
  gather_rows(
    w: Floats,
    wFormat: number,
    index: Ints,
    y: Floats,
    count: number,
    V: number,
    C: number,
  ): void
  /** dw[index[i]] += dy[i] for i < count, but where the index is `padding`. */
  embedding_backward(
    dy: Floats,
    index: Ints,
    dw: Floats,
    count: number,
    C: number,
    padding: number,
  ): void
}

export const embeddingReference: EmbeddingKernels = {
  gather_rows(w, _format, index, y, count, _V, C) {
    for (let i = 0; i < count; i++) {
      for (let c = 0; c < C; c++) {
        y[i * C + c] = w[index[i] * C + c]
      }
    }
  },
  embedding_backward(dy, index, dw, count, C, padding) {
    for (let i = 0; i < count; i++) {
      if (index[i] !== padding) {
        for (let c = 0; c < C; c++) {
          dw[index[i] * C + c] += dy[i * C + c]
        }
      }
    }
  },
}

export interface EmbeddingOptions {
  /** The row whose gradient stays zero; counted from the end if below 0. */
  readonly paddingIdx?: number
}

interface Saved {
  readonly index: Tensor
  readonly shape: Shape
  readonly padding: number
}

const NO_PADDING = -1

export const embeddingOp: Op<
  EmbeddingKernels,
  readonly [index: Tensor, weight: Tensor],
  EmbeddingOptions,
  Tensor,
  Saved
> = /* @__PURE__ */ defineOp({
  name: 'embedding',
  binary,
  reference: embeddingReference,

  forward(context, [index, weight], { paddingIdx }) {
    const { V, C } = dims('embedding: weight', weight, 'V C')
    const y = context.empty([...index.shape, C])
    const { buffer, format } = context.matrix(weight, false)
    const target = context.floats(y)
    context.kernels.gather_rows(buffer, format, context.ints(index), target, index.size, V, C)
    return { y, saved: { index, shape: weight.shape, padding: paddingIdx ?? NO_PADDING } }
  },

  backward(context, dy, { index, shape, padding }) {
    const dw = context.filled(shape, 0)
    const [from, to] = [context.floats(dy), context.floats(dw)]
    const rows = context.ints(index)
    context.kernels.embedding_backward(from, rows, to, index.size, shape[1], padding)
    return [undefined, dw]
  },
})

/** Throws an `argument` error for a row that the weight does not have. */
function paddingRow(paddingIdx: number | undefined, V: number): number | undefined {
  if (paddingIdx === undefined) {
    return undefined
  }
  const row = paddingIdx < 0 ? paddingIdx + V : paddingIdx
  if (!(Number.isInteger(row) && row >= 0 && row < V)) {
    throw new LowrankError(
      'argument',
      `embedding: expected paddingIdx in ${-V} … ${V - 1}, got ${paddingIdx}`,
    )
  }
  return row
}

/**
 * Rows of weight [V, C] at the int32 indices index [...]: [..., C]. Throws a `shape` error for a
 * weight that is no matrix and an `argument` error for an index outside 0 … V − 1.
 *
 * @example
 * ```ts
 * import { embedding, tensor } from 'lowrank'
 *
 * const table = tensor([1, 2, 3, 4], [2, 2])
 * console.log(embedding(tensor([1, 0], [2], { dtype: 'int32' }), table).dataSync()) // Float32Array [3, 4, 1, 2]
 * ```
 */
export function embedding(index: Tensor, weight: Tensor, options: EmbeddingOptions = {}): Tensor {
  const { V } = dims('embedding: weight', weight, 'V C')
  const paddingIdx = paddingRow(options.paddingIdx, V)
  checkIndices('embedding', index, V)
  return embeddingOp([index, weight], { paddingIdx })
}

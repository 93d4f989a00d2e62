// The weight that low-rank updates amount to: y = W + Σ s·B·A, W [O, I], A [R, I], B [O, R]. The sum of
// a product is formed first, then added to W, as in PEFT. Not differentiable: merging is for the end.

import type { Floats } from '../core/backend.ts'
import { dims } from '../core/dims.ts'
import { defineOp, type Op } from '../core/op.ts'
import type { Tensor } from '../core/tensor.ts'
import { MATMUL_SCRATCH, type MatmulKernels, matmulReference } from './matmul.ts'

interface Kernels extends MatmulKernels {
  copy(x: Floats, y: Floats, n: number): void
}

const copyReference: Pick<Kernels, 'copy'> = {
  copy(x, y, n) {
    for (let i = 0; i < n; i++) {
      y[i] = x[i]
    }
  },
}

export const loraMergeOp: Op<
  Kernels,
  readonly Tensor[],
  { readonly scales: readonly number[] },
  Tensor,
  object
> = /* @__PURE__ */ defineOp({
  name: 'lora_merge',
  reference: /* @__PURE__ */ Object.assign({}, matmulReference, copyReference),

  forward(context, [weight, ...factors], { scales }) {
    const { O, I } = dims('loraMerge: weight', weight, 'O I')
    const y = context.empty([O, I])
    const target = context.floats(y)
    const scratch = context.scratch(MATMUL_SCRATCH)
    const { copy, matmul_nn } = context.kernels
    copy(context.floats(weight), target, O * I)
    scales.forEach((scale, i) => {
      const [A, B] = [factors[2 * i], factors[2 * i + 1]]
      const { R } = dims('loraMerge: A', A, 'R I', { I })
      dims('loraMerge: B', B, 'O R', { O, R })
      const [a, b] = [context.floats(A), context.floats(B)]
      matmul_nn(b, 0, R, a, 0, I, 0, target, 0, I, O, I, R, scale, 1, scratch)
    })
    return { y, saved: {} }
  },
})

/**
 * W + Σ s·B·A for weight [O, I] and updates A [R, I], B [O, R]: [O, I] in float32. Throws a `shape`
 * error.
 *
 * @example
 * ```ts
 * import { loraMerge, tensor } from 'lowrank'
 *
 * const [A, B] = [tensor([1, 1], [1, 2]), tensor([1, 0], [2, 1])]
 * const eye = tensor([1, 0, 0, 1], [2, 2])
 * console.log(loraMerge(eye, [{ A, B, scale: 2 }]).dataSync()) // Float32Array [3, 2, 0, 1]
 * ```
 */
export function loraMerge(
  weight: Tensor,
  updates: readonly { readonly A: Tensor; readonly B: Tensor; readonly scale: number }[],
): Tensor {
  const factors = updates.flatMap(({ A, B }) => [A, B])
  return loraMergeOp([weight, ...factors], { scales: updates.map(({ scale }) => scale) })
}

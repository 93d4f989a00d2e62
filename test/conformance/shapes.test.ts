// Gradients for shapes that are drawn: broadcasts, axes, sizes 0 and 1, ranks up to four; A and B of
// LoRA above all, with scales that are not 1.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { type GradcheckOptions, gradcheck } from '../../src/core/gradcheck.ts'
import { Random } from '../../src/core/rng.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import * as ops from '../../src/ops/index.ts'

const RUNS = 40

/** Values in ±[0.2, 1), none near a kink or a pole at 0. */
function drawn(shape: readonly number[], random: Random): Tensor {
  const count = shape.reduce((n, size) => n * size, 1)
  const data = Array.from({ length: count }, () => {
    const u = random.uniform()
    return (0.2 + 0.8 * random.uniform()) * (u < 0.5 ? -1 : 1)
  })
  return tensor(data, shape)
}

function check(
  shapes: readonly (readonly number[])[],
  seed: number,
  fn: (...inputs: Tensor[]) => Tensor,
  options: GradcheckOptions = {},
): void {
  withBackend(reference(), () => {
    const random = new Random(seed, 'shapes')
    const inputs = shapes.map(shape => drawn(shape, random))
    const { worst, ok } = gradcheck(fn, inputs, { method: 'richardson', ...options })
    expect(ok, `${JSON.stringify(shapes)}: ${JSON.stringify(worst)}`).toBe(true)
  })
}

const seed = fc.integer({ min: 0, max: 1 << 30 })
const size = fc.integer({ min: 0, max: 4 })
const shape = fc.array(size, { maxLength: 4 })

/** Two shapes that broadcast: sizes of the one are 1 or left out in the other, now and then. */
const broadcast = fc
  .tuple(shape, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), fc.nat(4))
  .map(([full, ones, drop]) => {
    const a = full.map((n, i) => (ones[i] ? 1 : n))
    const b = full
      .map((n, i) => (ones[i + 4] && !ones[i] ? 1 : n))
      .slice(Math.min(drop, full.length))
    return [a, b] as const
  })

describe('binary ops', () => {
  const binary = { add: ops.add, sub: ops.sub, mul: ops.mul, div: ops.div } as const
  it.each(Object.entries(binary))('%s', (_, op) => {
    fc.assert(
      fc.property(broadcast, seed, ([a, b], seed) => {
        check([a, b], seed, (x, y) => op(x, y) as Tensor)
      }),
      { numRuns: RUNS },
    )
  })
})

/** A shape without empty axes, and some of its axes. */
const axes = fc
  .array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 })
  .chain(sizes =>
    fc.tuple(fc.constant(sizes), fc.subarray([...sizes.keys()], { minLength: 1 }), fc.boolean()),
  )

describe('reductions', () => {
  const { sum, mean, logsumexp, norm, prod, variance } = ops
  it.each(Object.entries({ sum, mean, norm, prod, variance }))('%s over any axes', (name, op) => {
    fc.assert(
      fc.property(axes, seed, ([sizes, dim, keepdim], seed) => {
        const count = dim.reduce((n, axis) => n * sizes[axis], 1)
        fc.pre(name !== 'variance' || count > 1)
        fc.pre(name !== 'prod' || dim.length === 1)
        const one = name === 'prod' ? dim[0] : dim
        check([sizes], seed, x => op(x, { dim: one as number, keepdim }))
      }),
      { numRuns: RUNS },
    )
  })

  it.each(Object.entries({ softmax: ops.softmax, logSoftmax: ops.logSoftmax, cumsum: ops.cumsum }))(
    '%s along any axis',
    (_, op) => {
      fc.assert(
        fc.property(axes, seed, ([sizes, [dim]], seed) => {
          check([sizes], seed, x => op(x, { dim }))
        }),
        { numRuns: RUNS },
      )
    },
  )

  it('logsumexp along one axis', () => {
    fc.assert(
      fc.property(axes, seed, ([sizes, [dim]], seed) => {
        check([sizes], seed, x => logsumexp(x, { dim }))
      }),
      { numRuns: RUNS },
    )
  })
})

describe('products', () => {
  const sizes = fc.tuple(size, size, size, size)

  it('matmul of matrices and batches', () => {
    fc.assert(
      fc.property(sizes, fc.boolean(), seed, ([B, M, K, N], batched, seed) => {
        const b = batched ? [B, K, N] : [K, N]
        check([[B, M, K], b], seed, (x, y) => ops.matmul(x, y))
      }),
      { numRuns: RUNS },
    )
  })

  it('A, B, x and the bias of a LoRA linear layer', () => {
    const scale = fc.double({ min: 0.1, max: 3, noNaN: true }).filter(s => Math.abs(s - 1) > 0.05)
    const some = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(size, some, some, some, scale, seed, (T, I, O, R, scale, seed) => {
        check([[2, T, I], [O, I], [O], [R, I], [O, R]], seed, (x, w, b, A, B) =>
          ops.loraLinear(x, w, b, [{ A, B, scale }]),
        )
      }),
      { numRuns: RUNS },
    )
  })

  it('normalisation of rows of any length', () => {
    const rows = fc.tuple(size, fc.integer({ min: 2, max: 6 }))
    fc.assert(
      fc.property(rows, seed, ([N, C], seed) => {
        check([[N, C], [C], [C]], seed, (x, w, b) => ops.layerNorm(x, w, b, { eps: 1e-2 }))
        check([[N, C], [C]], seed, (x, w) => ops.rmsNorm(x, w, { eps: 1e-2 }))
      }),
      { numRuns: RUNS },
    )
  })

  it('attention with grouped heads', () => {
    const heads = fc.constantFrom([1, 1], [2, 1], [2, 2], [4, 2])
    const tokens = fc.integer({ min: 1, max: 4 })
    fc.assert(
      fc.property(heads, tokens, tokens, fc.boolean(), seed, ([H, G], T, D, isCausal, seed) => {
        check(
          [
            [1, T, H, D],
            [1, T, G, D],
            [1, T, G, D],
          ],
          seed,
          (q, k, v) =>
            ops.scaledDotProductAttention(q, k, v, { isCausal, scale: 0.7, enableGqa: H !== G }),
        )
      }),
      { numRuns: RUNS },
    )
  })
})

describe('ops that move elements', () => {
  it('permute, reshape, slice and cat', () => {
    fc.assert(
      fc.property(axes, seed, ([sizes, dims], seed) => {
        const order = [...dims, ...[...sizes.keys()].filter(axis => !dims.includes(axis))]
        check([sizes], seed, x => ops.permute(x, order))
        check([sizes], seed, x => ops.reshape(x, [-1]))
        check([sizes], seed, x => ops.slice(x, dims[0], 0, Math.max(1, sizes[dims[0]] - 1)))
        check([sizes, sizes], seed, (x, y) => ops.cat([x, y], { dim: dims[0] }))
      }),
      { numRuns: RUNS },
    )
  })
})

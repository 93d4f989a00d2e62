// matmul, the op: batches and broadcasting, transposes, vectors, gradients, and what is said about sizes
// that do not fit. The kernels around every tile edge: test/backends/wasm/matmul.test.ts.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { binary } from '../../src/backends/wasm/binaries/core.ts'
import { withBackend } from '../../src/core/backend.ts'
import { Random } from '../../src/core/rng.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { MATMUL_SCRATCH, matmul } from '../../src/ops/matmul.ts'
import { backends } from '../support/backends.ts'
import { KernelInstance } from '../support/instance.ts'
import { checkOp } from '../support/op.ts'

// A sum of K products in f32 is off by at most K·2⁻²⁴ of the sum of their magnitudes, which for draws
// in ±1 stays under 4·√K times the largest result.
const toleranceOf = (K: number): number => Math.max(1, K) * 4 * (Math.sqrt(K) + 1) * 2 ** -24

describe('matmul of matrices', () => {
  it.each([
    [1, 1, 1],
    [2, 3, 4],
    [5, 8, 7],
    [4, 9, 16],
    [7, 17, 5],
    [9, 33, 11],
    [0, 2, 3],
    [3, 0, 2],
    [2, 3, 0],
  ])('M = %i, K = %i, N = %i, and transposed', (M, K, N) => {
    const common = {
      name: 'matmul',
      wantShape: [M, N],
      tolerance: toleranceOf(Math.max(M, K, N)),
      gradcheck: M * K * N < 200 ? {} : (false as const),
    }
    const [a, b] = [{ shape: [M, K] }, { shape: [K, N] }]
    const [at, bt] = [{ shape: [K, M] }, { shape: [N, K] }]
    checkOp({ ...common, fn: (a, b) => matmul(a, b), inputs: [a, b] })
    checkOp({ ...common, fn: (a, b) => matmul(a, b, { transposeB: true }), inputs: [a, bt] })
    checkOp({ ...common, fn: (a, b) => matmul(a, b, { transposeA: true }), inputs: [at, b] })
  })

  it('gives the product, however its operands are stored', () => {
    const [a, at] = [
      [1, 2, 3, 4, 5, 6],
      [1, 4, 2, 5, 3, 6],
    ]
    const [b, bt] = [
      [1, 0, -1, 2, 0.5, 1],
      [1, -1, 0.5, 0, 2, 1],
    ]
    const want = [0.5, 7, 2, 16]
    const check = (
      fn: (a: Tensor, b: Tensor) => Tensor,
      [left, leftShape]: [number[], number[]],
      [right, rightShape]: [number[], number[]],
    ): void => {
      const inputs = [
        { shape: leftShape, data: left },
        { shape: rightShape, data: right },
      ]
      checkOp({ name: 'matmul', fn, inputs, want })
    }
    check((a, b) => matmul(a, b), [a, [2, 3]], [b, [3, 2]])
    check((a, b) => matmul(a, b, { transposeB: true }), [a, [2, 3]], [bt, [2, 3]])
    check((a, b) => matmul(a, b, { transposeA: true }), [at, [3, 2]], [b, [3, 2]])
  })

  it('gives no gradient where none is needed', () => {
    const [a, b] = [{ shape: [2, 3] }, { shape: [3, 4] }]
    const fn = (a: Tensor, b: Tensor): Tensor => matmul(a, b)
    checkOp({ name: 'matmul', fn, inputs: [{ ...a, constant: true }, b] })
    checkOp({ name: 'matmul', fn, inputs: [a, { ...b, constant: true }] })
  })
})

describe('batches', () => {
  const shapes: [number[], number[], number[]][] = [
    [[3], [3], [3]],
    [
      [2, 3],
      [2, 3],
      [2, 3],
    ],
    [[2, 1], [5], [2, 5]],
    [[2, 3], [], [2, 3]],
    [[], [4], [4]],
    [[1], [3], [3]],
    [
      [3, 1, 2],
      [4, 1],
      [3, 4, 2],
    ],
    [[0], [0], [0]],
  ]

  it.each(shapes)('%j and %j broadcast to %j', (left, right, batch) => {
    const common = { name: 'matmul', wantShape: [...batch, 2, 4], tolerance: toleranceOf(12) }
    const a = { shape: [...left, 2, 3] }
    const b = { shape: [...right, 3, 4] }
    checkOp({ ...common, fn: (a, b) => matmul(a, b), inputs: [a, b] })
    checkOp({
      ...common,
      fn: (a, b) => matmul(a, b, { transposeB: true }),
      inputs: [a, { shape: [...right, 4, 3] }],
    })
    checkOp({
      ...common,
      fn: (a, b) => matmul(a, b, { transposeA: true }),
      inputs: [{ shape: [...left, 3, 2] }, b],
    })
  })
})

describe('vectors', () => {
  it.each([
    [[5], [5], []],
    [[3, 5], [5], [3]],
    [[5], [5, 2], [2]],
    [[2, 3, 5], [5], [2, 3]],
    [[5], [3, 5, 2], [3, 2]],
  ])('%j by %j gives %j', (left, right, wantShape) => {
    const inputs = [{ shape: left }, { shape: right }]
    checkOp({ name: 'matmul', fn: (a, b) => matmul(a, b), inputs, wantShape })
  })

  it('have no transpose', () => {
    const vector = { shape: [5] }
    checkOp({
      name: 'matmul',
      fn: (a, b) => matmul(a, b, { transposeA: true }),
      inputs: [vector, { shape: [5, 2] }],
      wantShape: [2],
    })
    checkOp({
      name: 'matmul',
      fn: (a, b) => matmul(a, b, { transposeB: true }),
      inputs: [{ shape: [3, 5] }, vector],
      wantShape: [3],
    })
  })

  it('leave the transpose of the other operand', () => {
    const data = [1, 2, 3, 4, 5, 6]
    const [matrix, vector] = [
      { shape: [2, 3], data },
      { shape: [2], data: [1, 10] },
    ]
    checkOp({
      name: 'matmul',
      fn: (a, b) => matmul(a, b, { transposeA: true }),
      inputs: [matrix, vector],
      want: [41, 52, 63],
    })
    checkOp({
      name: 'matmul',
      fn: (a, b) => matmul(a, b, { transposeB: true }),
      inputs: [vector, { shape: [3, 2], data }],
      want: [21, 43, 65],
    })
  })
})

describe('scratch', () => {
  it('is as large as the kernels want it', () => {
    const { kernels } = new KernelInstance(binary.module())
    expect(MATMUL_SCRATCH).toBeGreaterThanOrEqual(kernels.matmul_scratch())
  })
})

describe('what does not fit', () => {
  // Sizes that the types do not know.
  const shaped = (...shape: number[]): Tensor =>
    tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape)

  it('is said with shapes, and a hint where there is one', () => {
    expect(() => matmul(shaped(4, 768), shaped(512, 256))).toThrow(
      /^matmul: inner sizes differ: a is \[4, 768\], b is \[512, 256\], so K is 768 and 512$/,
    )
    expect(() => matmul(shaped(4, 768), shaped(768, 512), { transposeB: true })).toThrow(
      /so K is 768 and 512$/,
    )
    expect(() => matmul(shaped(4, 768), shaped(512, 768))).toThrow(
      'so K is 768 and 512 (b stored [N, K]? use transposeB)',
    )
    expect(() => matmul(shaped(2, 3), shaped(2, 3), { transposeB: true })).not.toThrow()
    expect(() => matmul(shaped(2, 2, 3), shaped(3, 3, 4))).toThrow(
      'matmul: shapes do not broadcast',
    )
    expect(() => matmul(shaped(), shaped(3))).toThrow('expected at least one axis, got a scalar')
    expect(() => matmul(shaped(3), shaped())).toThrow('expected at least one axis, got a scalar')
    expect(() =>
      matmul(shaped(2, 2), shaped(2, 2), { transposeA: true, transposeB: true }),
    ).toThrow('transposeA and transposeB together are not offered')
  })
})

describe.each(backends)('on $name', ({ make }) => {
  it('a row alone has the bits that it has in a batch', () => {
    const backend = make()
    const size = fc.integer({ min: 1, max: 24 })
    fc.assert(
      fc.property(size, size, size, fc.nat(), (M, K, N, seed) => {
        const random = new Random(seed, 'rows')
        const draw = (count: number): Float32Array =>
          Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)
        const a = draw(M * K)
        withBackend(backend, () => {
          const b = tensor(draw(K * N), [K, N])
          const all = matmul(tensor(a, [M, K]), b).dataSync()
          for (let m = 0; m < M; m++) {
            const row = matmul(tensor(a.subarray(m * K, (m + 1) * K), [1, K]), b).dataSync()
            expect(row).toEqual(all.slice(m * N, (m + 1) * N))
          }
        })
      }),
      { numRuns: 25 },
    )
  })
})

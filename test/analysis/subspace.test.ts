// φ of equation 4 and the amplification factor of section 7.3 (Hu et al. 2021): exact cases from
// orthonormal matrices, and the definitions computed densely.

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  amplification,
  deltaNorm,
  relativeChange,
  subspaceSimilarities,
  subspaceSimilarity,
} from '../../src/analysis/index.ts'
import { Random } from '../../src/core/rng.ts'
import { tensor } from '../../src/core/tensor.ts'
import { multiply, qr, svd, transpose } from '../../src/linalg/index.ts'
import { attach } from '../../src/lora/index.ts'
import { Conv1D, Linear } from '../../src/nn/index.ts'
import { bound, randomMatrix } from '../linalg/matrices.ts'
import { backends } from '../support/backends.ts'
import { denseChange, madeUpLayer, norm, slack, stateOf } from './layers.ts'

/** Orthonormal rows [count, d]. */
function orthonormalRows(seed: number, count: number, d: number): Float64Array {
  const { q } = qr(randomMatrix(new Random(seed), d, count), d, count)
  return transpose(q, d, count)
}

/** Rows of `basis` [count, d] scaled to singular values 3, 2, 1.5, …, and mixed by a rotation. */
function matrixWith(basis: Float64Array, count: number, d: number, seed: number): Float64Array {
  const scaled = basis.map((value, at) => (value * 3) / (1 + 0.5 * Math.floor(at / d)))
  return multiply(orthonormalRows(seed, count, count), scaled, count, count, d)
}

/** Elements pass through float32 on `wasm`: singular vectors turn by that much over the gaps. */
const ROUNDED = 2 ** -24

describe.each(backends)('subspaceSimilarity on $name', ({ make }) => {
  const backend = make()
  const rowsOf = (data: ArrayLike<number>, d: number) =>
    tensor(data, [data.length / d, d], { backend })

  it('is exact for unit vectors', async () => {
    const a = rowsOf([3, 0, 0, 0, 0, 2, 0, 0], 4)
    const b = rowsOf([0, 0, 5, 0, 0, 1, 0, 0], 4)
    expect(await subspaceSimilarity(a, a, 2, 2)).toEqual({ similarity: 1, random: 0.5 })
    expect(await subspaceSimilarity(a, b, 1, 1)).toEqual({ similarity: 0, random: 0.25 })
    expect(await subspaceSimilarity(a, b, 2, 1)).toEqual({ similarity: 0, random: 0.5 })
    expect(await subspaceSimilarity(a, b, 2, 2)).toEqual({ similarity: 0.5, random: 0.5 })
  })

  it('is the overlap of bases that are known, whatever the scale and rotation of A', async () => {
    const d = 9
    const u = orthonormalRows(1, 3, d)
    const v = orthonormalRows(2, 4, d)
    const a = rowsOf(matrixWith(u, 3, d, 3), d)
    const b = rowsOf(matrixWith(v, 4, d, 4), d)
    for (const [i, j] of [
      [1, 1],
      [2, 3],
      [3, 4],
      [3, 1],
    ]) {
      const overlap = multiply(u.subarray(0, i * d), transpose(v.subarray(0, j * d), j, d), i, d, j)
      const want = norm(overlap) ** 2 / Math.min(i, j)
      const { similarity, random } = await subspaceSimilarity(a, b, i, j)
      // The smallest gap of the singular values 3, 2, 1.5, 1.2 is a tenth of the largest.
      expect(Math.abs(similarity - want)).toBeLessThan(4 * d * 10 * ROUNDED)
      expect(random).toBe(Math.max(i, j) / d)
    }
  })

  it('is max(i, j) / d for random subspaces, on average', async () => {
    const [d, draws, i, j] = [24, 200, 2, 6]
    let sum = 0
    for (let seed = 0; seed < draws; seed++) {
      const a = rowsOf(orthonormalRows(2 * seed, i, d), d)
      const b = rowsOf(orthonormalRows(2 * seed + 1, j, d), d)
      sum += (await subspaceSimilarity(a, b, i, j)).similarity
    }
    // One draw deviates by less than √(2·j/d / (i·d)) ≈ 0.1, so the mean by 0.1 / √200; five of it.
    expect(Math.abs(sum / draws - j / d)).toBeLessThan((5 * 0.1) / Math.sqrt(draws))
  })

  it('refuses different widths and more directions than there are', async () => {
    const a = rowsOf([1, 2, 2, 4], 2)
    await expect(subspaceSimilarity(a, rowsOf([1, 2, 3], 3), 1, 1)).rejects.toThrow(
      'expected two matrices of the same width, got [2, 2] and [1, 3]',
    )
    await expect(subspaceSimilarity(a, a, 1, 2)).rejects.toThrow(
      'A2 is [2, 2] of rank 1: expected 1 to 1 of its directions, got 2',
    )
    await expect(subspaceSimilarity(a, a, 0.5, 1)).rejects.toThrow('A1 is [2, 2]')
  })
})

describe.each(backends)('amplification on $name', ({ make }) => {
  const backend = make()

  it('is exact where ΔW takes over single entries of W', async () => {
    const layer = madeUpLayer({ rows: 3, cols: 4, ranks: [1], scaling: 1, seed: 1 }, backend)
    layer.base.weight.replace([0, 0, 0, 9, 0, 0.5, 0, 0, 7, 0, 0, 0])
    // ΔW = 3 · 2 · e₁·e₁ᵀ, and W there is 0.5.
    layer.adapters.set('a0', stateOf([0, 2, 0, 0], [0, 1, 0], 1, 3, backend))
    expect(await amplification(layer)).toEqual({
      factor: 12,
      deltaNorm: 6,
      projectedNorm: 0.5,
      rank: 1,
    })
  })

  it('is the definition computed on the dense ΔW', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.constantFrom([2], [1, 2]), async (seed, ranks) => {
        const made = { rows: 8, cols: 10, ranks, scaling: 2.5, seed }
        const layer = madeUpLayer(made, backend)
        const dense = denseChange(layer.states())
        const got = await amplification(layer)
        const { u, vt, s, k } = svd(dense, 8, 10)
        const weight = Float64Array.from(layer.base.weight.dataSync())
        const left = multiply(transpose(u, 8, k), weight, k, 8, 10)
        const all = multiply(left, transpose(vt, k, 10), k, 10, k)
        const { rank } = got
        expect(rank).toBe(ranks.reduce((sum, r) => sum + r, 0))
        const part = all.filter((_, at) => at % k < rank && at < rank * k)
        // A singular vector turns by rounding over the gap to zero, σ of the last direction.
        const turned = (norm(weight) * slack(made)) / s[rank - 1] + bound(8, 10) * norm(weight)
        expect(Math.abs(got.projectedNorm - norm(part))).toBeLessThanOrEqual(2 * turned)
        expect(Math.abs(got.deltaNorm - norm(dense))).toBeLessThanOrEqual(slack(made))
        expect(got.factor).toBe(got.deltaNorm / got.projectedNorm)
        layer.dispose()
      }),
    )
  })

  it('refuses an update without a direction and an unknown adapter', async () => {
    const layer = madeUpLayer({ rows: 3, cols: 4, ranks: [2], scaling: 2, seed: 1 }, backend)
    layer.states()[0].B.replace(new Float32Array(6))
    await expect(amplification(layer)).rejects.toThrow('got s·B·A = 0')
    await expect(amplification(layer, null)).rejects.toThrow('expected at least one adapter')
    await expect(amplification(layer, 'b')).rejects.toThrow('there is no adapter "b"')
  })
})

describe('subspaceSimilarities', () => {
  it('holds what subspaceSimilarity gives, for every i and j', async () => {
    const random = new Random(11)
    const A1 = tensor(randomMatrix(random, 3, 9), [3, 9])
    const A2 = tensor(randomMatrix(random, 4, 9), [4, 9])
    const all = await subspaceSimilarities(A1, A2)
    expect([all.similarity.length, all.similarity[0].length]).toEqual([3, 4])
    for (let i = 1; i <= 3; i++) {
      for (let j = 1; j <= 4; j++) {
        const one = await subspaceSimilarity(A1, A2, i, j)
        expect(all.similarity[i - 1][j - 1]).toBeCloseTo(one.similarity, 12)
        expect(all.random[i - 1][j - 1]).toBe(one.random)
      }
    }
    expect((await subspaceSimilarities(A1, A2, 2)).random.length).toBe(2)
  })

  it('has no entry for directions that a matrix lacks', async () => {
    const zero = tensor(new Float32Array(18), [2, 9])
    expect((await subspaceSimilarities(zero, zero)).similarity).toEqual([])
    const other = tensor(new Float32Array(8), [1, 8])
    await expect(subspaceSimilarities(zero, other)).rejects.toThrow('the same width')
  })
})

describe('layers that store their weight in another shape', () => {
  it('are amplified as the linear layer with the same matrix', async () => {
    const linear = attach(new Linear(5, 4, { bias: false }), { r: 2, initLoraWeights: false })
    const conv1d = attach(new Conv1D(5, 4, { bias: false }), { r: 2, initLoraWeights: false })
    const weight = Float64Array.from(linear.base.weight.dataSync())
    conv1d.base.weight.replace(transpose(weight, 4, 5))
    const [own, other] = [linear, conv1d].map(layer => layer.adapters.get('default')!)
    other.A.replace(own.A.dataSync())
    other.B.replace(own.B.dataSync())
    expect(await amplification(conv1d)).toEqual(await amplification(linear))
  })

  it('are measured with their start taken off', async () => {
    const layer = attach(new Linear(5, 4), { r: 2, initLoraWeights: 'pissa' })
    expect(await deltaNorm(layer.states())).toBeLessThan(1e-6)
    expect((await relativeChange(layer)) < 1e-6).toBe(true)
  })
})

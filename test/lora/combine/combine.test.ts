// What combined adapters must do whatever their numbers are: exact sums where the method is exact,
// the right scale, pruning by counts, clear answers to bad calls.

import fc from 'fast-check'
import { Random } from 'lowrank'
import { describe, expect, it } from 'vitest'
import {
  type CombineOptions,
  combineWhole,
  type LayerFactors,
  RULES,
  type WholeAdapter,
} from '../../../src/lora/combine/index.ts'
import { product } from '../../../src/lora/combine/low_rank.ts'
import { pruneAtRandom, pruneByMagnitude } from '../../../src/lora/combine/prune.ts'
import { meanOfMajority } from '../../../src/lora/combine/sign.ts'

const sizes = fc.record({
  rows: fc.integer({ min: 1, max: 9 }),
  cols: fc.integer({ min: 1, max: 9 }),
  ranks: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 4 }),
  seed: fc.nat(1e6),
})

type Sizes = typeof sizes extends fc.Arbitrary<infer T> ? T : never

function adaptersOf({ rows, cols, ranks, seed }: Sizes): WholeAdapter[] {
  return ranks.map((r, i) => {
    const random = new Random(seed, `adapter ${i}`)
    const draw = (count: number) => Float64Array.from({ length: count }, () => random.normal())
    const layer = { A: draw(r * cols), B: draw(rows * r), r, rows, cols, scaling: 0.5 + i }
    return {
      name: `adapter${i}`,
      r,
      targetModules: ['layer'],
      useRslora: true,
      layers: new Map([['layer', layer]]),
    }
  })
}

function deltaOf(layer: LayerFactors, weight = 1): Float64Array {
  return product({ ...layer, name: '', weight: 1 }, layer).map(value => value * weight)
}

const layerOf = (adapter: WholeAdapter): LayerFactors => adapter.layers.get('layer') as LayerFactors

function sumOf(adapters: readonly WholeAdapter[], weights: readonly number[]): Float64Array {
  const deltas = adapters.map((adapter, i) => deltaOf(layerOf(adapter), weights[i]))
  return deltas[0].map((_, at) => deltas.reduce((sum, delta) => sum + delta[at], 0))
}

function largestDifference(a: Float64Array, b: Float64Array): number {
  return a.reduce((most, value, at) => Math.max(most, Math.abs(value - b[at])), 0)
}

describe('exact combinations', () => {
  it.each(['cat', 'svd'] as const)(
    '%s of enough rank is Σ w·s·B·A, also of rank-stabilised adapters',
    type => {
      fc.assert(
        fc.property(sizes, example => {
          const adapters = adaptersOf(example)
          const weights = adapters.map((_, i) => (i % 2 === 0 ? 0.7 : -1.3))
          const svdRank = type === 'svd' ? Math.min(example.rows, example.cols) : undefined
          const options: CombineOptions = { combinationType: type, weights, svdRank }
          const result = combineWhole('sum', adapters, options)
          expect(result.useRslora).toBe(false)
          const got = deltaOf(layerOf(result))
          // Sums of at most 16 products of normal draws with factors below 5.
          expect(largestDifference(got, sumOf(adapters, weights))).toBeLessThan(1e-11)
        }),
      )
    },
  )

  it('svd of a lower rank is the nearest one: its error is that of the singular values left', () => {
    const adapters = adaptersOf({ rows: 6, cols: 7, ranks: [2, 2], seed: 5 })
    const whole = sumOf(adapters, [1, 1])
    const errors = [1, 2, 3, 4].map(svdRank => {
      const result = combineWhole('sum', adapters, { svdRank })
      return largestDifference(deltaOf(layerOf(result)), whole)
    })
    expect(errors[3]).toBeLessThan(1e-12)
    expect(errors.slice(0, 3).every((error, i) => error > errors[i + 1])).toBe(true)
  })

  it('takes a default rank above a layer: the rest is zero', () => {
    const adapters = adaptersOf({ rows: 2, cols: 3, ranks: [4, 3], seed: 8 })
    const result = combineWhole('sum', adapters, {})
    expect(result.r).toBe(4)
    expect(layerOf(result).A.length).toBe(12)
    expect(largestDifference(deltaOf(layerOf(result)), sumOf(adapters, [1, 1]))).toBeLessThan(1e-12)
  })
})

describe('svdClamp', () => {
  /** torch.quantile: interpolated linearly between neighbours. */
  const quantile = (values: readonly number[], q: number): number => {
    const sorted = values.toSorted((a, b) => a - b)
    const place = q * (sorted.length - 1)
    const [below, above] = [sorted[Math.floor(place)], sorted[Math.ceil(place)]]
    return below + (place % 1) * (above - below)
  }

  it.each([0, 0.3, 0.5, 0.83, 1])(
    'cuts entries of both factors at the quantile %d of them, the padding not counted',
    svdClamp => {
      // The layer has two singular values, the adapters' rank is 4.
      const adapters = adaptersOf({ rows: 2, cols: 3, ranks: [4, 3], seed: 8 })
      const free = layerOf(combineWhole('sum', adapters, {}))
      const cut = layerOf(combineWhole('sum', adapters, { svdClamp }))
      const kept = [...free.A.slice(0, 6), free.B[0], free.B[1], free.B[4], free.B[5]]
      const most = quantile(kept, svdClamp)
      // The upper bound counts where the two cross.
      const clamp = (value: number): number => Math.min(Math.max(value, -most), most)
      expect([...cut.A]).toEqual([...free.A].map((value, i) => (i < 6 ? clamp(value) : 0)))
      expect([...cut.B]).toEqual([...free.B].map((value, i) => (i % 4 < 2 ? clamp(value) : 0)))
    },
  )
})

describe('pruning', () => {
  it('keeps ⌊density · n⌋ entries, none smaller than one that goes', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 30 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (list, density) => {
          const values = Float64Array.from(list, value => value + 0.5)
          const pruned = pruneByMagnitude(values, density)
          const kept = values.filter((_, at) => pruned[at] !== 0)
          expect(kept.length).toBe(density >= 1 ? list.length : Math.floor(density * list.length))
          const gone = values.filter((_, at) => pruned[at] === 0).map(Math.abs)
          const most = Math.max(0, ...gone)
          expect(kept.every(value => Math.abs(value) >= most)).toBe(true)
        },
      ),
    )
  })

  it('keeps the first of equal ones', () => {
    const values = Float64Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 2 : -2))
    const pruned = pruneByMagnitude(values, 0.25)
    expect([...pruned.keys()].filter(at => pruned[at] !== 0)).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    ])
  })

  it('at random keeps the expectation: 4 standard errors of 20,000 draws', () => {
    const ones = new Float64Array(20_000).fill(1)
    const mean = pruneAtRandom(ones, 0.3, new Random(1)).reduce((a, b) => a + b, 0) / ones.length
    expect(Math.abs(mean - 1)).toBeLessThan(4 * Math.sqrt((1 / 0.3 - 1) / ones.length))
    expect(pruneAtRandom(ones, 0, new Random(1)).every(value => value === 0)).toBe(true)
  })

  it('draws the same for a seed, something else for another', () => {
    const adapters = adaptersOf({ rows: 6, cols: 7, ranks: [3, 3], seed: 5 })
    const drawn = (seed: number) => {
      const options = { combinationType: 'dare_ties', density: 0.5, seed } as const
      return layerOf(combineWhole('sum', adapters, options)).A
    }
    expect(drawn(1)).toEqual(drawn(1))
    expect(drawn(1)).not.toEqual(drawn(2))
  })
})

describe('the rank and the targets of the result', () => {
  it('are those of the adapters where products are not what is combined', () => {
    const adapters = adaptersOf({ rows: 4, cols: 5, ranks: [2, 2], seed: 1 })
    const rank = (options: CombineOptions): number => combineWhole('sum', adapters, options).r
    expect(rank({ combinationType: 'linear', svdRank: 1 })).toBe(2)
    expect(rank({ combinationType: 'cat', svdRank: 1 })).toBe(4)
    expect(rank({ combinationType: 'svd', svdRank: 1 })).toBe(1)
  })

  it.each([
    [['q'], ['k', 'q'], ['q', 'k']],
    [undefined, ['k'], ['k']],
    [['q'], undefined, ['q']],
    [undefined, undefined, undefined],
    ['.*q', '.*k', '(.*q)|(.*k)'],
  ])('are the union of %j and %j', (first, second, wanted) => {
    const [a, b] = adaptersOf({ rows: 4, cols: 5, ranks: [2, 2], seed: 1 })
    const both = [
      { ...a, targetModules: first },
      { ...b, targetModules: second },
    ]
    expect(combineWhole('sum', both, {}).targetModules).toEqual(wanted)
  })
})

describe('electing signs', () => {
  it('takes the mean of those that agree, by sums or by numbers', () => {
    const values = [[5], [-1], [-2]].map(list => Float64Array.from(list))
    expect(meanOfMajority(values, [1, 1, 1], 'total')[0]).toBe(5)
    expect(meanOfMajority(values, [1, 1, 2], 'frequency')[0]).toBe(-2.5)
  })

  it('counts no zeros', () => {
    const values = [[0], [4]].map(list => Float64Array.from(list))
    expect(meanOfMajority(values, [1, 1], 'total')[0]).toBe(4)
    expect(meanOfMajority([Float64Array.of(0)], [1], 'total')[0]).toBe(0)
  })
})

describe('a bad call', () => {
  const adapters = adaptersOf({ rows: 4, cols: 5, ranks: [2, 3], seed: 1 })
  const message = (options: CombineOptions, chosen = adapters, name = 'sum'): string => {
    try {
      combineWhole(name, chosen, options)
      return ''
    } catch (error) {
      return (error as Error).message
    }
  }

  it('is answered with every mistake at once', () => {
    const got = message({ combinationType: 'ties', weights: [1, Number.NaN, 2], svdRank: 0 })
    expect(got).toContain('weights: expected one for each of 2, got 3')
    expect(got).toContain('weights: expected finite numbers, got NaN')
    expect(got).toContain('density: expected a share')
    expect(got).toContain('the ranks must be equal, got 2, 3')
    expect(got).toContain('svdRank: expected a whole number')
  })

  it.each([
    [{ combinationType: 'average' as 'cat' }, `expected one of ${Object.keys(RULES).join(', ')}`],
    [{ density: 1.5 }, 'density: expected'],
    [{ svdClamp: 2 }, 'svdClamp: expected a quantile'],
    [{ svdRank: 5 }, '"layer": is [4, 5], so it has 4 singular values, got svdRank 5'],
    [{ majoritySignMethod: 'mean' as 'total' }, "expected 'total' or 'frequency'"],
  ])('%j: %s', (options, part) => {
    expect(message(options)).toContain(part)
  })

  it('names adapters that do not go together', () => {
    expect(message({}, [])).toContain('expected at least one adapter, got none')
    expect(message({}, adapters, 'adapter0')).toContain('expected a new name')
    const [other] = adaptersOf({ rows: 4, cols: 6, ranks: [2], seed: 1 })
    expect(message({ combinationType: 'cat' }, [adapters[0], { ...other, name: 'b' }])).toContain(
      'expected adapters of one base, got layers of [4, 5] and [4, 6]',
    )
    const [higher] = adaptersOf({ rows: 3, cols: 5, ranks: [2], seed: 1 })
    expect(message({ combinationType: 'cat' }, [adapters[0], { ...higher, name: 'b' }])).toContain(
      'got layers of [4, 5] and [3, 5]',
    )
    const pattern = { ...adapters[1], targetModules: '.*layer' }
    expect(message({}, [adapters[0], pattern])).toContain('got a pattern for "adapter1" alone')
  })

  it('that mixes ranks on one layer is refused where the configurations hide it', () => {
    const hidden = adapters.map(adapter => ({ ...adapter, r: 3 }))
    expect(message({ combinationType: 'linear' }, hidden)).toContain('expected one rank')
  })
})

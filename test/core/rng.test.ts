import { describe, expect, it } from 'vitest'
import { erf } from '../../src/core/math.ts'
import { hashName, philox, Random } from '../../src/core/rng.ts'

function draws<T>(count: number, draw: () => T): T[] {
  return Array.from({ length: count }, draw)
}

function words(counter: [number, number, number, number], key: [number, number]): string[] {
  const out = new Uint32Array(4)
  philox(out, ...counter, ...key)
  return [...out].map(word => word.toString(16).padStart(8, '0'))
}

/** The largest distance between the empirical and the given distribution (Kolmogorov, Smirnov). */
function distance(sample: number[], distribution: (x: number) => number): number {
  const sorted = Float64Array.from(sample).sort()
  const n = sorted.length
  return sorted.reduce((most, x, i) => {
    const p = distribution(x)
    return Math.max(most, Math.abs(p - i / n), Math.abs(p - (i + 1) / n))
  }, 0)
}

const mean = (sample: number[]): number => sample.reduce((sum, x) => sum + x, 0) / sample.length

describe('philox', () => {
  // kat_vectors of Random123.
  it('gives the known answers', () => {
    expect(words([0, 0, 0, 0], [0, 0])).toEqual(['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8'])
    const ones = 0xffffffff
    expect(words([ones, ones, ones, ones], [ones, ones])).toEqual([
      '408f276d',
      '41c83b0e',
      'a20bc7c6',
      '6d5451fd',
    ])
    // The digits of π.
    expect(
      words([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]),
    ).toEqual(['d16cfe09', '94fdcceb', '5001e420', '24126ea1'])
  })
})

describe('Random', () => {
  // The critical values are those of probability 1e-6: √(ln(2 / 1e-6) / (2n)) for the distance,
  // 4.9 standard errors for means. Seeds are fixed, so that the tests cannot flicker.
  const n = 100_000
  const critical = Math.sqrt(Math.log(2e6) / (2 * n))

  it('draws words from blocks of the counter, keyed by the seed', () => {
    const random = new Random(0)
    expect(draws(4, () => random.uint32().toString(16))).toEqual([
      '6627e8d5',
      'e169c58d',
      'bc57ac4c',
      '9b00dbd8',
    ])
  })

  it('is uniform', () => {
    const random = new Random(1, 'uniform')
    const sample = draws(n, () => random.uniform())
    expect(Math.min(...sample)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...sample)).toBeLessThan(1)
    expect(distance(sample, x => x)).toBeLessThan(critical)
  })

  it('is uniform between two bounds', () => {
    const random = new Random(2, 'between')
    const sample = draws(n, () => random.uniformBetween(-3, 5))
    expect(Math.min(...sample)).toBeGreaterThanOrEqual(-3)
    expect(Math.max(...sample)).toBeLessThanOrEqual(5)
    expect(distance(sample, x => (x + 3) / 8)).toBeLessThan(critical)
  })

  it('has bits that are each set half of the time', () => {
    const random = new Random(3)
    const counts = new Array<number>(32).fill(0)
    draws(n, () => random.uint32()).forEach(word => {
      counts.forEach((_, bit) => {
        counts[bit] += (word >>> bit) & 1
      })
    })
    const limit = 5.5 * Math.sqrt(n / 4)
    counts.forEach(count => {
      expect(Math.abs(count - n / 2)).toBeLessThan(limit)
    })
  })

  it('is normal', () => {
    const random = new Random(4, 'normal')
    const sample = draws(n, () => random.normal())
    expect(distance(sample, x => 0.5 + 0.5 * erf(x / Math.SQRT2))).toBeLessThan(critical)
    // Variances of x, x², x³, x⁴ for a normal x: 1, 2, 15, 96.
    expect(Math.abs(mean(sample))).toBeLessThan(4.9 * Math.sqrt(1 / n))
    expect(Math.abs(mean(sample.map(x => x * x)) - 1)).toBeLessThan(4.9 * Math.sqrt(2 / n))
    expect(Math.abs(mean(sample.map(x => x * x * x)))).toBeLessThan(4.9 * Math.sqrt(15 / n))
    expect(Math.abs(mean(sample.map(x => x * x * x * x)) - 3)).toBeLessThan(4.9 * Math.sqrt(96 / n))
  })

  it('uses both values of a normal pair, which are independent', () => {
    const pairs = new Random(5)
    const uniforms = new Random(5)
    const radius = Math.sqrt(-2 * Math.log(1 - uniforms.uniform()))
    const angle = 2 * Math.PI * uniforms.uniform()
    expect(pairs.normal()).toBeCloseTo(radius * Math.cos(angle), 14)
    expect(pairs.normal()).toBeCloseTo(radius * Math.sin(angle), 14)
    expect(pairs.uint32()).toBe(uniforms.uint32())
    const products = draws(n, () => pairs.normal() * pairs.normal())
    expect(Math.abs(mean(products))).toBeLessThan(4.9 * Math.sqrt(1 / n))
  })

  it('gives the same draws for the same seed and stream', () => {
    const one = new Random(6, 'a')
    const other = new Random(6, 'a')
    expect(draws(100, () => one.normal())).toEqual(draws(100, () => other.normal()))
  })

  it('gives independent draws for other seeds and streams', () => {
    const base = new Random(7, 'a')
    const sample = draws(n, () => base.normal())
    const others = [new Random(8, 'a'), new Random(7, 'b'), new Random(7 + 2 ** 32, 'a')]
    others.forEach(other => {
      const correlation = mean(sample.map(x => x * other.normal()))
      expect(Math.abs(correlation)).toBeLessThan(4.9 * Math.sqrt(1 / n))
    })
  })

  it('names streams by words', () => {
    expect(new Random(1, 'dropout').stream).toBe(hashName('dropout'))
    expect(hashName('')).toBe(0x811c9dc5)
    expect(hashName('a')).toBe(0xe40c292c)
  })

  it('skips to where drawing would have led', () => {
    for (const count of [0, 1, 3, 4, 5, 102]) {
      const drawn = new Random(9)
      draws(3 + count, () => drawn.uint32())
      const skipped = new Random(9)
      draws(3, () => skipped.uint32())
      skipped.skip(count)
      expect(draws(9, () => skipped.uint32())).toEqual(draws(9, () => drawn.uint32()))
    }
  })

  it('counts beyond 2³² blocks', () => {
    const random = new Random(10, 3)
    random.skip(4 * (2 ** 32 + 5))
    const out = new Uint32Array(4)
    philox(out, 5, 1, 3, 0, 10, 0)
    expect(draws(4, () => random.uint32())).toEqual([...out])
  })

  it('shuffles without losing and picks within bounds', () => {
    const random = new Random(11)
    const items = draws(50, () => random.integer(1000))
    const shuffled = random.shuffle(items)
    expect(shuffled).not.toEqual(items)
    expect([...shuffled].sort()).toEqual([...items].sort())
    expect(items).toContain(random.pick(items))
    const counts = new Array<number>(6).fill(0)
    draws(60_000, () => counts[random.integer(6)]++)
    counts.forEach(count => {
      expect(Math.abs(count - 10_000)).toBeLessThan(5.2 * Math.sqrt(10_000 * (5 / 6)))
    })
  })

  it('shuffles into every order', () => {
    const orders = new Set<string>()
    for (let seed = 0; seed < 200; seed++) {
      orders.add(new Random(seed, 'orders').shuffle(['a', 'b', 'c']).join(''))
    }
    expect([...orders].sort()).toEqual(['abc', 'acb', 'bac', 'bca', 'cab', 'cba'])
  })
})

import { backward, dropout, manualSeed, noGrad, step, tensor, withBackend } from 'lowrank'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { withDraws } from '../../src/core/random_state.ts'
import { philox } from '../../src/core/rng.ts'
import { dropoutOp } from '../../src/ops/dropout.ts'
import { backends } from '../support/backends.ts'

const ones = (n: number) => tensor(new Float32Array(n).fill(1), [n], { requiresGrad: true })

describe.each(backends)('dropout on $name', ({ make }) => {
  const draw = (n: number, p: number, seed = 5): ArrayLike<number> =>
    withBackend(make(), () => {
      manualSeed(seed)
      return step(() => dropout(ones(n), p)).dataSync()
    })

  it.each([0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 65])('keeps %i elements as the reference does', n => {
    const want = withBackend(reference(), () => {
      manualSeed(5)
      return step(() => dropout(ones(n), 0.3)).dataSync()
    })
    expect([...Array.from(draw(n, 0.3))].map(value => value > 0)).toEqual(
      [...want].map(value => value > 0),
    )
  })

  it('drops with probability p and keeps the mean', () => {
    const values = [...Array.from(draw(40_000, 0.25))]
    const kept = values.filter(value => value !== 0)
    // Four standard deviations of a binomial share.
    expect(Math.abs(kept.length / 40_000 - 0.75)).toBeLessThan(4 * Math.sqrt(0.1875 / 40_000))
    expect(new Set(kept.map(value => value.toFixed(6))).size).toBe(1)
    expect(kept[0]).toBeCloseTo(4 / 3, 6)
  })

  it('gives the gradient the same mask', () => {
    withBackend(make(), () => {
      const x = ones(50)
      const y = step(() => {
        const dropped = dropout(x, 0.5)
        backward(dropped, ones(50))
        return dropped
      })
      expect(x.grad?.dataSync()).toEqual(y.dataSync())
    })
  })

  it('draws anew at every call, and the same again for the same step', () => {
    withBackend(make(), () => {
      const twice = (): ArrayLike<number>[] =>
        withDraws({ seed: 9, stream: 3 }, () =>
          step(() => [dropout(ones(64), 0.5), dropout(ones(64), 0.5)]).map(y => y.dataSync()),
        )
      const [first, second] = twice()
      expect(first).not.toEqual(second)
      expect(twice()).toEqual([first, second])
    })
  })

  it('is the identity where nothing is recorded', () => {
    withBackend(make(), () => {
      const x = ones(8)
      expect(dropout(x, 0.5)).toBe(x)
      expect(step(() => noGrad(() => dropout(x, 0.5) === x))).toBe(true)
    })
  })

  it('drops everything at p = 1, what is not finite too, and nothing at p = 0', () => {
    withBackend(make(), () => {
      const y = step(() => dropout(ones(100), 1))
      expect(y.dataSync().every(value => value === 0)).toBe(true)
      const x = tensor([Number.POSITIVE_INFINITY, Number.NaN, 1, 2], [4])
      expect([...step(() => dropout(x, 1)).dataSync()]).toEqual([0, 0, 0, 0])
      expect(step(() => dropout(x, 0) === x)).toBe(true)
    })
  })

  it.each([
    { seed: 3, stream: 0 },
    { seed: 3, stream: 5 },
    { seed: 0x100000003, stream: 5 },
    { seed: 0x500000000, stream: 5 },
  ])('takes its words from $seed and $stream, and keeps those at the threshold', draw => {
    const words = Array.from({ length: 3 }, (_, block) => {
      const drawn = new Uint32Array(4)
      const high = Math.floor(draw.seed / 2 ** 32)
      philox(drawn, block, 0, draw.stream, 0, draw.seed % 2 ** 32, high)
      return [...drawn]
    }).flat()
    // The median: some words are below it, and one is equal.
    const threshold = [...words].sort((a, b) => a - b)[6]
    const p = threshold / 2 ** 32
    withBackend(make(), () => {
      const y = dropoutOp([tensor(new Float32Array(12).fill(1), [12])], { p, ...draw })
      expect([...y.dataSync()].map(value => value > 0)).toEqual(
        words.map(word => word >= threshold),
      )
    })
  })

  it('refuses p outside [0, 1]', () => {
    for (const p of [-0.1, 1.1, Number.NaN]) {
      expect(() => dropout(ones(2), p)).toThrow('dropout: expected p in [0, 1]')
    }
  })
})

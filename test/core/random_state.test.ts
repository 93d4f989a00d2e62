// Draws that nobody named: counted from a seed, put back after what had draws of its own.

import { afterEach, describe, expect, it } from 'vitest'
import { manualSeed, nextDraw, replayDraws, withDraws } from '../../src/core/random_state.ts'

function fail(): never {
  throw new Error('inside')
}

describe('draws', () => {
  afterEach(() => {
    manualSeed(0)
  })

  it('are these for a seed, for good', () => {
    manualSeed(7)
    expect([nextDraw(), nextDraw()]).toEqual([
      { seed: 7, stream: 1266575376 },
      { seed: 7, stream: 1283352995 },
    ])
    expect(withDraws({ seed: 3, stream: 5 }, nextDraw)).toEqual({ seed: 3, stream: 4134348358 })
  })

  it.each([Number.NaN, 1.5, -1, 2 ** 53])('have no seed %d, and keep the one they had', seed => {
    manualSeed(7)
    expect(() => manualSeed(seed)).toThrow('manualSeed: expected a whole number from 0 up')
    expect(nextDraw()).toEqual({ seed: 7, stream: 1266575376 })
  })

  it('go on where they were after draws of its own, and after an error in them', () => {
    manualSeed(7)
    const want = [nextDraw(), nextDraw(), nextDraw()]
    manualSeed(7)
    const got = [nextDraw()]
    withDraws({ seed: 1, stream: 2 }, nextDraw)
    got.push(nextDraw())
    expect(() => withDraws({ seed: 1, stream: 2 }, fail)).toThrow('inside')
    got.push(nextDraw())
    expect(got).toEqual(want)
  })

  it('are repeated by a bookmark, which leaves no trace either', () => {
    manualSeed(7)
    const replay = replayDraws()
    const want = [nextDraw(), nextDraw()]
    expect(replay(() => [nextDraw(), nextDraw()])).toEqual(want)
    const next = nextDraw()
    expect(want).not.toContainEqual(next)
    manualSeed(7)
    const again = replayDraws()
    expect(() => again(fail)).toThrow('inside')
    expect([nextDraw(), nextDraw(), nextDraw()]).toEqual([...want, next])
  })
})

// Shapes: strides, NumPy's broadcasting, axes from either end.

import { describe, expect, it } from 'vitest'
import {
  broadcastShapes,
  checkShape,
  countOf,
  normalizeAxis,
  sameShape,
  stridesOf,
} from '../../src/core/shape.ts'

describe('shapes', () => {
  it.each([
    [[], 1, []],
    [[4], 4, [1]],
    [[2, 3, 4], 24, [12, 4, 1]],
    [[2, 0, 4], 0, [0, 4, 1]],
  ])('%j holds %d elements', (shape, count, strides) => {
    expect(countOf(shape)).toBe(count)
    expect(stridesOf(shape)).toEqual(strides)
  })

  it('are the same where all sizes are', () => {
    expect(sameShape([2, 3], [2, 3])).toBe(true)
    expect(sameShape([2, 3], [2, 4])).toBe(false)
    expect(sameShape([2, 3], [2])).toBe(false)
    expect(sameShape([2], [2, 3])).toBe(false)
  })

  it.each([
    [[2, 3], [3], [2, 3]],
    [[3], [2, 3], [2, 3]],
    [
      [2, 1],
      [1, 3],
      [2, 3],
    ],
    [[], [4], [4]],
    [[1], [0], [0]],
    [
      [5, 1, 2],
      [3, 1],
      [5, 3, 2],
    ],
  ])('%j and %j broadcast to %j', (a, b, want) => {
    expect(broadcastShapes('test', a, b)).toEqual(want)
  })

  it('that do not broadcast are named, with the axis', () => {
    expect(() => broadcastShapes('add', [2, 3], [4, 3])).toThrow(
      'add: shapes do not broadcast: [2, 3] and [4, 3] (sizes 2 and 4 at axis -2)',
    )
  })

  it('have axes from either end', () => {
    expect([0, 2, -1, -3].map(axis => normalizeAxis('sum', axis, 3))).toEqual([0, 2, 2, 0])
    expect(normalizeAxis('sum', 0, 0)).toBe(0)
    for (const axis of [3, -4, 0.5, Number.NaN]) {
      expect(() => normalizeAxis('sum', axis, 3)).toThrow(`sum: axis ${axis} does not exist`)
    }
  })

  it('are whole numbers from 0 up', () => {
    expect(() => checkShape('tensor', [0, 3])).not.toThrow()
    for (const size of [-1, 1.5, Number.NaN]) {
      expect(() => checkShape('tensor', [2, size])).toThrow('sizes must be whole numbers')
    }
  })
})

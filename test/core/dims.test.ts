import { describe, expect, expectTypeOf, it } from 'vitest'
import { dims } from '../../src/core/dims.ts'
import { LowrankError } from '../../src/core/errors.ts'

describe('dims', () => {
  it('names the sizes of a shape', () => {
    const sizes = dims('test', [2, 3, 4], 'B T C')
    expect(sizes).toStrictEqual({ B: 2, T: 3, C: 4 })
    expectTypeOf(sizes).toEqualTypeOf<{
      readonly B: number
      readonly T: number
      readonly C: number
    }>()
  })

  it('takes sizes that are as they should be', () => {
    expect(dims('test', [2, 3], 'O I', { I: 3 })).toStrictEqual({ O: 2, I: 3 })
    expect(dims('test', [3, 3], 'N N')).toStrictEqual({ N: 3 })
  })

  it('takes all leading axes under one name', () => {
    expect(dims('test', [2, 3, 4], '...rows C')).toEqual({ rows: 6, C: 4 })
    expect(dims('test', [4], '...rows C')).toEqual({ rows: 1, C: 4 })
    expect(dims('test', [0, 4], '...rows C')).toEqual({ rows: 0, C: 4 })
  })

  it.each([
    [[2, 3], 'B T C', {}],
    [[2, 3, 4, 5], 'B T C', {}],
    [[], '...rows C', {}],
    [[2, 3], 'O I', { I: 4 }],
    [[2, 3], 'N N', {}],
  ])('refuses %j as %s with %j', (shape, pattern, known) => {
    expect(() => dims('linear', shape, pattern, known)).toThrow(LowrankError)
  })

  it('says what was expected and what was got', () => {
    expect(() => dims('linear: weight', [2, 3], 'O I', { I: 4 })).toThrow(
      'linear: weight: expected [O, I] with I = 4, got [2, 3]',
    )
  })

  it('refuses a wrong letter when compiling', () => {
    // @ts-expect-error K is no letter of the pattern
    dims('test', [2, 3], 'M N', { K: undefined })
    // @ts-expect-error nor has the result one
    expect(dims('test', [2, 3], 'M N').K).toBeUndefined()
  })
})

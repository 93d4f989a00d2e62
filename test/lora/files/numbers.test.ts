// Numbers of files compared.

import { expect, it } from 'vitest'
import { sameNumbers } from '../../../src/lora/files/numbers.ts'

it('numbers are the same if they are as many', () => {
  const of = (...data: number[]) => {
    return { dtype: 'F32', shape: [data.length], data: Float64Array.from(data) } as const
  }
  expect(sameNumbers(of(1, 2), of(1, 2))).toBe(true)
  expect(sameNumbers(of(1, 2), of(1, 3))).toBe(false)
  expect(sameNumbers(of(1), of(1, 2))).toBe(false)
  expect(sameNumbers(of(1, 2), of(1))).toBe(false)
})

// The loss of a language model looks at labels that lie as the tokens do, and at no others.

import { LowrankError, tensor } from 'lowrank'
import { describe, expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'

describe('loss of a language model', () => {
  it.each([[[2, 3]], [[1, 8]], [[4, 2]], [[8]]])('refuses labels %j for tokens [2, 4]', shape => {
    const model = tinyLlama()
    const int32 = { dtype: 'int32' } as const
    const ids = tensor(new Int32Array(8).fill(3), [2, 4], int32)
    const count = shape.reduce((size, n) => size * n, 1)
    const labels = tensor(new Int32Array(count).fill(3), shape, int32)
    const run = (): unknown => model.loss(ids, labels)
    expect(run).toThrow(LowrankError)
    expect(run).toThrow('loss: labels')
  })
})

// What a low-rank update must fit, beside what the properties of LoRA say: every operand is checked before a
// kernel reads it.

import { LowrankError, loraLinear, type Shape, tensor } from 'lowrank'
import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { backends } from '../support/backends.ts'

const zeros = (shape: Shape) =>
  tensor(new Float32Array(shape.reduce((n, size) => n * size, 1)), shape)

describe.each(backends)('loraLinear on $name', ({ make }) => {
  it.each([
    ['A', { A: [2, 5] }],
    ['B', { B: [3, 1] }],
    ['a short bias of B', { bias: [1] }],
    ['a long bias of B', { bias: [4] }],
    ['a matrix as the bias of B', { bias: [3, 1] }],
  ] satisfies [string, Readonly<Record<string, Shape>>][])(
    'refuses %s that does not fit',
    (_, shapes) => {
      const { A, B, bias } = { A: [2, 4], B: [3, 2], bias: [3], ...shapes }
      const run = (): unknown =>
        withBackend(make(), () =>
          loraLinear(zeros([2, 4]), zeros([3, 4]), undefined, [
            { A: zeros(A), B: zeros(B), bias: zeros(bias), scale: 2 },
          ]),
        )
      expect(run).toThrow(LowrankError)
      expect(run).toThrow('loraLinear: ')
    },
  )
})

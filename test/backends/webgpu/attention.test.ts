// NaN among the scores of a query comes out: a device may take it for the smaller of two numbers, so that the
// query would look like one with every key hidden, whose output is 0.

import { describe, expect, it } from 'vitest'
import { webgpu } from '../../../src/backends/webgpu/index.ts'
import { withBackend } from '../../../src/core/backend.ts'
import { tensor } from '../../../src/core/tensor.ts'
import { scaledDotProductAttention } from '../../../src/ops/attention.ts'
import { countedGpu, hasDawn } from '../../support/webgpu/local.ts'

const [T, D] = [3, 4]
const numbers = (first: number): number[] => Array.from({ length: T * D }, (_, i) => first + i / 7)

describe.runIf(hasDawn())('attention on webgpu', () => {
  it.each([
    { where: 'a query', q: 1, k: -1, wrong: [1] },
    { where: 'a key', q: -1, k: 1, wrong: [1, 2] },
  ])('gives NaN for what NaN in $where reaches', async ({ q, k, wrong }) => {
    const { gpu } = await countedGpu()
    const backend = await webgpu({ gpu })
    const y = withBackend(backend, () => {
      const operand = (row: number, first: number) =>
        tensor(
          numbers(first).map((value, i) => (Math.floor(i / D) === row ? Number.NaN : value)),
          [1, T, 1, D],
        )
      return scaledDotProductAttention(operand(q, 0), operand(k, 1), operand(-1, 2), {
        isCausal: true,
      })
    })
    const rows = await y.data()
    for (let row = 0; row < T; row++) {
      const own = Array.from(rows.subarray(row * D, (row + 1) * D), Number.isNaN)
      expect(own, `row ${row}`).toEqual(Array.from({ length: D }, () => wrong.includes(row)))
    }
  })
})

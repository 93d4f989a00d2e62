// loraMerge: the sum of the weight and its updates, in any dtype, and what does not fit.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { tensor } from '../../src/core/tensor.ts'
import { loraMerge } from '../../src/ops/lora_merge.ts'
import { backends } from '../support/backends.ts'

describe.each(backends)('loraMerge on $name', ({ make }) => {
  const factors = () => {
    const [A, B] = [tensor([1, 2, 3], [1, 3]), tensor([1, 10], [2, 1])]
    const [A2, B2] = [tensor([1, 0, 0, 0, 1, 0], [2, 3]), tensor([1, 2, 3, 4], [2, 2])]
    return { A, B, A2, B2 }
  }

  it.each(['float32', 'float16', 'bfloat16'] as const)('adds updates to a %s weight', dtype => {
    withBackend(make(), () => {
      const { A, B, A2, B2 } = factors()
      const weight = new Parameter([1, 2, 3, 4, 5, 6], [2, 3], { dtype, requiresGrad: false })
      expect([...loraMerge(weight, []).dataSync()]).toEqual([1, 2, 3, 4, 5, 6])
      const merged = loraMerge(weight, [
        { A, B, scale: 0.5 },
        { A: A2, B: B2, scale: -1 },
      ])
      expect(merged.dtype).toBe('float32')
      expect([...merged.dataSync()]).toEqual([0.5, 1, 4.5, 6, 11, 21])
      expect([...weight.dataSync()]).toEqual([1, 2, 3, 4, 5, 6])
    })
  })

  it('says what does not fit', () => {
    withBackend(make(), () => {
      const { A, B, B2 } = factors()
      const weight = tensor([1, 2, 3, 4], [2, 2])
      expect(() => loraMerge(weight, [{ A, B, scale: 1 }])).toThrow(
        'loraMerge: A: expected [R, I] with I = 2, got [1, 3]',
      )
      const fits = tensor([1, 2], [1, 2])
      expect(() => loraMerge(weight, [{ A: fits, B: B2, scale: 1 }])).toThrow(
        'loraMerge: B: expected [O, R] with O = 2, R = 1, got [2, 2]',
      )
    })
  })
})

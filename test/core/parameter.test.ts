// Parameters: counts, freezing and unfreezing.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { tensor } from '../../src/core/tensor.ts'
import { linear } from '../../src/ops/linear.ts'
import { backends } from '../support/backends.ts'

describe.each(backends)('a parameter on $name', ({ make }) => {
  it('has as many elements as its shape', () => {
    withBackend(make(), () => {
      expect(() => new Parameter([1, 2], [3])).toThrow('Parameter')
      const w = new Parameter([1, 2], [2])
      expect(() => w.replace([1, 2, 3])).toThrow(/^Parameter: /)
      w.name = 'layers.0.weight'
      expect(() => w.replace([1, 2, 3])).toThrow(/^layers\.0\.weight: /)
      w.replace([3, 4])
      expect(Array.from(w.dataSync())).toEqual([3, 4])
    })
  })

  it('is trained from the start, or once it is unfrozen', () => {
    withBackend(make(), () => {
      const w = new Parameter([1, 2], [2])
      expect([w.requiresGrad, w.hasGrad]).toEqual([true, false])
      w.freeze()
      expect(w.requiresGrad).toBe(false)
      w.unfreeze()
      expect(w.requiresGrad).toBe(true)
      expect(w.dtype).toBe('float32')
    })
  })

  it('of half precision is frozen, and float32 when it is unfrozen', () => {
    withBackend(make(), () => {
      const half = new Parameter([1, 2, 0.5, -3], [2, 2], { dtype: 'bfloat16' })
      expect(half.requiresGrad).toBe(false)
      half.unfreeze()
      expect([half.dtype, half.requiresGrad]).toEqual(['float32', true])
      expect(Array.from(half.dataSync())).toEqual([1, 2, 0.5, -3])
    })
  })

  it('keeps its elements through a product while frozen, in float32 and in half precision', () => {
    withBackend(make(), () => {
      const values = Array.from({ length: 9 * 5 }, (_, i) => i - 20)
      for (const dtype of ['float32', 'float16'] as const) {
        const w = new Parameter(values, [9, 5], { dtype, requiresGrad: false })
        const product = (): number[] =>
          Array.from(linear(tensor([1, 0, 0, 0, 2], [1, 5]), w).dataSync())
        const want = product()
        expect(Array.from(w.dataSync())).toEqual(values)
        w.unfreeze()
        expect(w.storage.packed).toBeUndefined()
        expect(Array.from(w.dataSync())).toEqual(values)
        expect(product()).toEqual(want)
      }
    })
  })
})

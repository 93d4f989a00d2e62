// cast: every finite float16 and bfloat16 survives the way to float32 and back, rounding is to nearest
// even, and gradients pass in float32.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { backward, step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { cast } from '../../src/ops/cast.ts'
import { backends } from '../support/backends.ts'

const types = ['float16', 'bfloat16'] as const

describe.each(backends)('cast on $name', ({ make }) => {
  it.each(types)('keeps every %s that is a number', dtype => {
    const infinity = dtype === 'float16' ? 0x7c00 : 0x7f80
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i).filter(
      pattern => (pattern & 0x7fff) <= infinity,
    )
    const back = withBackend(make(), () => {
      const wide = cast(tensor(bits, [bits.length], { dtype }), 'float32')
      return cast(tensor(wide.dataSync(), [bits.length]), dtype).bits()
    })
    expect(back).toEqual(bits)
  })

  it.each([0, 1, 7, 8, 9, 17])('casts %d elements', count => {
    withBackend(make(), () => {
      const data = Float32Array.from({ length: count }, (_, i) => 1 + i / 1024)
      const half = cast(tensor(data, [count]), 'float16')
      expect([...half.dataSync()]).toEqual([...data])
    })
  })

  it('rounds halfway cases to even', () => {
    withBackend(make(), () => {
      const x = tensor([1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 65520], [4])
      const { POSITIVE_INFINITY: infinity } = Number
      const want = [1, 1 + 2 ** -9, 65504, infinity]
      expect([...cast(x, 'float16').dataSync()]).toEqual(want)
      const y = tensor([1 + 2 ** -8, 1 + 3 * 2 ** -8], [2])
      expect([...cast(y, 'bfloat16').dataSync()]).toEqual([1, 1 + 2 ** -6])
    })
  })

  it('goes from one half to the other', () => {
    withBackend(make(), () => {
      const half = cast(tensor([1.0078125, 1e-8], [2]), 'bfloat16')
      expect([...cast(half, 'float16').dataSync()]).toEqual([1.0078125, 0])
    })
  })

  it('passes the gradient as it is', () => {
    withBackend(make(), () => {
      const x = tensor([1, 2, 3], [3], { requiresGrad: true })
      const dy = [1.001, -1e-9, 1e9].map(Math.fround)
      step(() => backward(cast(x, 'bfloat16'), tensor(dy, [3])))
      expect([...(x.grad?.dataSync() ?? [])]).toEqual(dy)
      expect(x.grad?.dtype).toBe('float32')
    })
  })

  it('gives x itself where nothing changes, and refuses integers', () => {
    withBackend(make(), () => {
      const x = tensor([1], [1])
      expect(cast(x, 'float32')).toBe(x)
      expect(() => cast(tensor([1], [1], { dtype: 'int32' }), 'float32')).toThrow(
        'cast: expected floats, got int32',
      )
    })
  })
})

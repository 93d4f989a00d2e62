// Tensors: what they are made from, and copies of what they hold.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { tensor } from '../../src/core/tensor.ts'
import { linear } from '../../src/ops/linear.ts'
import { mul } from '../../src/ops/mul.ts'
import { backends } from '../support/backends.ts'

describe.each(backends)('a tensor on $name', ({ make }) => {
  it('has as many elements as its shape', () => {
    withBackend(make(), () => {
      expect(() => tensor([1, 2], [3])).toThrow('tensor: [3] has 3 elements, got 2')
      expect(() => tensor([1], [-1])).toThrow('sizes must be whole numbers')
      expect(tensor([], [0, 3]).size).toBe(0)
    })
  })

  it('of one element is a number', async () => {
    const backend = make()
    const [one, two] = withBackend(backend, () => [tensor([3], [1, 1]), tensor([1, 2], [2])])
    expect(await one.item()).toBe(3)
    expect(one.itemSync()).toBe(3)
    expect(() => two.itemSync()).toThrow('item: expected one element, got 2 of shape [2]')
    await expect(two.item()).rejects.toThrow('got 2 of shape [2]')
  })

  it('copies what goes in and what comes out', () => {
    withBackend(make(), () => {
      const data = Float32Array.of(1, 2)
      const x = tensor(data, [2])
      data[0] = 9
      x.dataSync()[1] = 9
      expect(Array.from(x.dataSync())).toEqual([1, 2])
      const bits = Uint16Array.of(0x3c00)
      const half = tensor(bits, [1], { dtype: 'float16' })
      bits[0] = 0
      expect(Array.from(half.dataSync())).toEqual([1])
    })
  })

  it('holds bits or numbers of half precision', () => {
    withBackend(make(), () => {
      const one = { float16: 0x3c00, bfloat16: 0x3f80 }
      for (const dtype of ['float16', 'bfloat16'] as const) {
        expect(tensor([1], [1], { dtype }).bits()).toEqual(Uint16Array.of(one[dtype]))
        const same = tensor(Uint16Array.of(one[dtype]), [1], { dtype })
        expect(Array.from(same.dataSync())).toEqual([1])
        expect(same.requiresGrad).toBe(false)
      }
    })
  })

  it('has the precision of its backend', () => {
    const backend = make()
    withBackend(backend, () => {
      const want = backend.precision === 64 ? Float64Array.of(0.1) : Float32Array.of(0.1)
      expect(tensor([0.1], [1]).dataSync()).toEqual(want)
      const w = new Parameter([0.1], [1])
      w.buffer()
      expect(w.dataSync()).toEqual(want)
    })
  })

  it('takes integers as they are', () => {
    withBackend(make(), () => {
      const x = tensor([1.9, -2], [2], { dtype: 'int32' })
      expect(x.dataSync()).toEqual(Int32Array.of(1, -2))
    })
  })

  it('is read out of the layout of a product', async () => {
    const backend = make()
    const w = withBackend(backend, () => {
      const frozen = new Parameter([1, 2, 3, 4, 5, 6], [2, 3], { requiresGrad: false })
      linear(tensor([1, 1, 1], [1, 3]), frozen)
      return frozen
    })
    const { used } = backend.memory()
    expect(Array.from(await w.data())).toEqual([1, 2, 3, 4, 5, 6])
    expect(backend.memory().used).toBe(used)
  })

  it('that was disposed of says so', async () => {
    const backend = make()
    const w = withBackend(backend, () => new Parameter([1], [1]))
    w.dispose()
    w.dispose()
    expect(() => w.dataSync()).toThrow('used after')
    await expect(w.data()).rejects.toThrow('used after')
    expect(() => withBackend(backend, () => mul(w, 2))).toThrow('used after')
  })

  it('is made when it is first needed', () => {
    withBackend(make(), () => {
      let made = 0
      const lazy = new Parameter(() => {
        made++
        return [1, 2]
      }, [2])
      expect(made).toBe(0)
      expect(Array.from(lazy.dataSync())).toEqual([1, 2])
      expect(Array.from(mul(lazy, 2).dataSync())).toEqual([2, 4])
      expect(made).toBe(1)
    })
  })
})

// Who owns memory: what a scope keeps, what it gives back, and what is said of a tensor that is gone.

import { describe, expect, it } from 'vitest'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { LowrankError } from '../../src/core/errors.ts'
import { Parameter } from '../../src/core/parameter.ts'
import { acquire, allocateScoped, scoped } from '../../src/core/scope.ts'
import { step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { mul } from '../../src/ops/mul.ts'
import { backends } from '../support/backends.ts'
import { DeferredBackend } from '../support/deferred.ts'

const values = (x: Tensor): number[] => Array.from(x.dataSync())

describe.each(backends)('scopes on $name', ({ make }) => {
  const on = (act: (backend: Backend) => void): void => {
    const backend = make()
    withBackend(backend, () => act(backend))
  }

  it('keep what is returned, in arrays and records too, and give the rest back', () => {
    on(backend => {
      const x = tensor([1, 2], [2])
      const { used } = backend.memory()
      const kept = step(() => {
        mul(x, 5)
        return { none: null, list: [mul(x, 2), null, 7], record: { one: mul(x, 3) }, text: 'a' }
      })
      expect(values(kept.list[0] as Tensor)).toEqual([2, 4])
      expect(values(kept.record.one)).toEqual([3, 6])
      expect(step(() => null)).toBe(null)
      expect(backend.memory().used).toBe(used)
    })
  })

  it('do not look into objects of other classes', () => {
    on(() => {
      class Holder {
        readonly y: Tensor
        constructor(y: Tensor) {
          this.y = y
        }
      }
      const { y } = step(() => new Holder(mul(tensor([1], [1]), 2)))
      expect(() => y.dataSync()).toThrow('used after the scope that owned it was left')
      expect(() => mul(y, 2)).toThrow('used after the scope that owned it was left')
    })
  })

  it('hand what is returned to the scope around them', () => {
    on(backend => {
      const x = tensor([1, 2], [2])
      const { used } = backend.memory()
      const seen = step(() => {
        const y = scoped(() => scoped(() => mul(x, 2)))
        const again = scoped(() => y)
        return [values(y), values(again), values(mul(again, 2))]
      })
      expect(seen).toEqual([
        [2, 4],
        [2, 4],
        [4, 8],
      ])
      expect(backend.memory().used).toBe(used)
    })
  })

  it('upload what JavaScript owns once for a step', () => {
    on(backend => {
      const x = tensor([1, 2], [2])
      let writes = 0
      const write = backend.write.bind(backend)
      backend.write = (buffer, dtype, data) => {
        writes++
        write(buffer, dtype, data)
      }
      step(() => {
        scoped(() => mul(x, x))
        scoped(() => scoped(() => mul(x, x)))
      })
      expect(writes).toBe(1)
    })
  })

  it('are where room is made', () => {
    on(backend => {
      expect(() => allocateScoped(backend, 'float32', 4)).toThrow('expected to be inside a scope')
      expect(() => acquire(tensor([1], [1]).storage)).toThrow('upload: expected to be inside')
    })
  })

  it('end in order where a function fails', () => {
    on(backend => {
      const { used } = backend.memory()
      const fail = (): never => {
        mul(tensor([1], [1]), 2)
        throw new Error('inside')
      }
      expect(() => step(() => scoped(fail))).toThrow('inside')
      expect(() => step(() => scoped(fail))).toThrow('inside')
      expect(backend.memory().used).toBe(used)
    })
  })
})

describe('scopes on a backend that must be waited for', () => {
  it('leave results where they are', async () => {
    const backend = new DeferredBackend()
    const y = withBackend(backend, () => step(() => mul(tensor([1, 2], [2]), 3)))
    expect(Array.from(await y.data())).toEqual([3, 6])
    const z = withBackend(backend, () => mul(y, 2))
    expect(Array.from(await z.data())).toEqual([6, 12])
    expect(Array.from(await y.data())).toEqual([3, 6])
  })

  it('say what is gone', async () => {
    const w = withBackend(new DeferredBackend(), () => new Parameter([1], [1]))
    w.dispose()
    await expect(w.data()).rejects.toBeInstanceOf(LowrankError)
    await expect(w.data()).rejects.toThrow('used after the scope that owned it was left')
  })
})

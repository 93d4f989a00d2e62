// The invariants of gradients, which the tape alone owns.

import { backward, mul, noGrad, Parameter, step, type Tensor, tensor, withBackend } from 'lowrank'
import { describe, expect, it } from 'vitest'
import { defineOp, type Op } from '../../src/core/op.ts'
import { scoped } from '../../src/core/scope.ts'
import { inStep } from '../../src/core/tape.ts'
import { add } from '../../src/ops/add.ts'
import { max } from '../../src/ops/max.ts'
import { reshape } from '../../src/ops/reshape.ts'
import { sum } from '../../src/ops/sum.ts'
import { backends } from '../support/backends.ts'

const leaf = (values: readonly number[]): Tensor =>
  tensor(values, [values.length], { requiresGrad: true })
const gradOf = (x: Tensor): number[] => Array.from(x.grad?.dataSync() ?? [])

describe.each(backends)('the tape on $name', ({ make }) => {
  it('sums the gradients of a tensor that is used more than once', () => {
    withBackend(make(), () => {
      const x = leaf([1, 2, 3])
      step(() => {
        const y = mul(x, x)
        backward(sum(add(add(y, y), x)))
      })
      expect(gradOf(x)).toEqual([5, 9, 13])
    })
  })

  it('sums over several calls in one step, and starts anew in the next', () => {
    withBackend(make(), () => {
      const x = leaf([1, 2])
      step(() => {
        backward(sum(mul(x, 3)))
        backward(sum(mul(x, x)))
      })
      expect(gradOf(x)).toEqual([5, 7])
      step(() => backward(sum(x)))
      expect(gradOf(x)).toEqual([1, 1])
    })
  })

  it('accumulates into parameters until they are cleared', () => {
    withBackend(make(), () => {
      const w = new Parameter([1, 2], [2])
      const run = (): void => step(() => backward(sum(mul(w, w))))
      run()
      run()
      expect(Array.from(w.grad?.dataSync() ?? [])).toEqual([4, 8])
      w.clearGrad()
      run()
      expect(Array.from(w.grad?.dataSync() ?? [])).toEqual([2, 4])
      w.freeze()
      expect(w.grad).toBeUndefined()
    })
  })

  it('takes the gradient of an output that is no scalar', () => {
    withBackend(make(), () => {
      const x = leaf([1, 2])
      step(() => backward(mul(x, x), tensor([10, 100], [2])))
      expect(gradOf(x)).toEqual([20, 400])
      const wrong = (): void => step(() => backward(mul(x, x), tensor([1], [1])))
      expect(wrong).toThrow('the output is [2], its gradient [1]')
      expect(() => step(() => backward(mul(x, x)))).toThrow('expected a scalar, got [2]')
    })
  })

  it('walks past outputs that nobody used', () => {
    withBackend(make(), () => {
      const x = leaf([1, 5, 3])
      step(() => {
        mul(x, 100)
        backward(sum(max(x, { dim: 0 }).values))
      })
      expect(gradOf(x)).toEqual([0, 1, 0])
    })
  })

  it('is not recursive: a chain of 20,000 ops', () => {
    withBackend(make(), () => {
      const x = leaf([1])
      step(() => {
        let y: Tensor = x
        for (let i = 0; i < 20_000; i++) {
          y = reshape(y, [1])
        }
        backward(sum(y))
      })
      expect(gradOf(x)).toEqual([1])
    })
  })

  it('does not record under noGrad or outside a step', () => {
    withBackend(make(), () => {
      const x = leaf([2])
      expect(step(() => noGrad(() => mul(x, x)).requiresGrad)).toBe(false)
      expect(mul(x, x).requiresGrad).toBe(false)
      expect(() => backward(mul(x, x))).toThrow('expected to be called inside step')
      expect(() => step(() => backward(noGrad(() => sum(x))))).toThrow('depends on nothing')
    })
  })

  it('refuses to differentiate an output twice', () => {
    withBackend(make(), () => {
      const x = leaf([2])
      const twice = (): void =>
        step(() => {
          const y = sum(mul(x, x))
          backward(y)
          backward(y)
        })
      expect(twice).toThrow('was differentiated already')
    })
  })

  it('releases what was saved as soon as it is consumed', () => {
    const backend = make()
    withBackend(backend, () => {
      const n = 4096
      const x = tensor(new Float32Array(n).fill(1), [n], { requiresGrad: true })
      const peakOf = (depth: number): number => {
        backend.resetPeak()
        const { used } = backend.memory()
        step(() => {
          let y: Tensor = x
          for (let i = 0; i < depth; i++) {
            y = mul(y, y)
          }
          backward(sum(y))
        })
        return (backend.memory().peak - used) / (n * (backend.precision / 8))
      }
      peakOf(2)
      // One tensor per op is kept for backward; gradients and temporaries do not add up.
      expect(peakOf(24) - peakOf(12)).toBeLessThanOrEqual(12.01)
    })
  })

  it('gives everything back where nothing is differentiated, and where a step fails', () => {
    const backend = make()
    withBackend(backend, () => {
      const x = leaf([1, 2, 3])
      const { used } = backend.memory()
      const y = step(() => mul(mul(x, x), x))
      expect(y.requiresGrad).toBe(false)
      const fail = (): never => {
        mul(mul(x, x), x)
        throw new Error('inside')
      }
      expect(() => step(fail)).toThrow('inside')
      expect(backend.memory().used).toBe(used)
    })
  })

  it('gives all gradients and temporaries back where a backward fails', () => {
    const backend = make()
    const failing: Op<object, readonly [x: Tensor], object, Tensor, object> = defineOp({
      name: 'failing',
      reference: {},
      forward: (context, [x]) => ({ y: context.alias(x, x.shape), saved: {} }),
      backward: context => {
        context.temporary(1000)
        throw new Error('inside')
      },
    })
    withBackend(backend, () => {
      const { used } = backend.memory()
      const run = (): void =>
        step(() => {
          const x = leaf([1, 2])
          const y = mul(x, x)
          backward(sum(mul(failing([y], {}), mul(y, x))))
        })
      expect(run).toThrow('inside')
      expect(backend.memory().used).toBe(used)
    })
  })

  it('runs one step at a time, and none that waits', () => {
    withBackend(make(), () => {
      expect(inStep()).toBe(false)
      expect(step(inStep)).toBe(true)
      expect(() => step(() => step(() => 1))).toThrow('steps do not nest')
      expect(() => scoped(() => step(() => 1))).toThrow('steps do not nest')
      expect(() => step(async () => 1)).toThrow(TypeError)
      expect(() => step(async () => 1)).toThrow('await before it, not inside')
      expect(() => scoped(async () => 1)).toThrow('await before it, not inside')
      expect(inStep()).toBe(false)
    })
  })

  it('differentiates nothing under noGrad, nor integers', () => {
    withBackend(make(), () => {
      const x = leaf([1, 5])
      const run = (): void =>
        step(() => {
          const y = sum(mul(x, x))
          noGrad(() => backward(y))
        })
      expect(run).toThrow('expected to be called inside step')
      expect(step(() => max(x, { dim: 0 }).indices.requiresGrad)).toBe(false)
    })
  })

  it('refuses a gradient of another shape than its input', () => {
    const wrongOp: Op<object, readonly [x: Tensor], object, Tensor, object> = defineOp({
      name: 'wrong',
      reference: {},
      forward: (context, [x]) => ({ y: context.alias(x, x.shape), saved: {} }),
      backward: (context, dy) => [context.alias(dy, [1, dy.size])],
    })
    withBackend(make(), () => {
      const run = (): void => step(() => backward(sum(wrongOp([leaf([1, 2])], {}))))
      expect(run).toThrow('wrong: the gradient of input 0 must be [2], got [1, 2]')
    })
  })
})

describe('two backends', () => {
  it('are not mixed silently', () => {
    const [a, b] = backends.map(({ make }) => withBackend(make(), () => tensor([1], [1])))
    expect(() => add(a, b)).toThrow('operands belong to two backends, reference and wasm')
  })
})

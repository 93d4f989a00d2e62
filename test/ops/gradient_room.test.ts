// A gradient overwrites what was kept for it where nothing else can read that: the same numbers in less
// memory.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { scoped } from '../../src/core/scope.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { add } from '../../src/ops/add.ts'
import { cast } from '../../src/ops/cast.ts'
import { gelu } from '../../src/ops/gelu.ts'
import { mul } from '../../src/ops/mul.ts'
import { silu } from '../../src/ops/silu.ts'
import { sum } from '../../src/ops/sum.ts'
import { swiglu } from '../../src/ops/swiglu.ts'
import { tanh } from '../../src/ops/tanh.ts'
import { backends } from '../support/backends.ts'

type Chain = (x: Tensor) => Tensor
type Around = (fn: () => Tensor) => Tensor

const plainly: Around = fn => fn()

const chains: readonly (readonly [string, Chain])[] = [
  ['one reader', x => silu(add(x, 1))],
  ['an output that the next op keeps too', x => silu(tanh(add(x, 1)))],
  ['both sides of swiglu', x => swiglu(add(x, 1), mul(x, 2))],
  ['the same tensor on both sides', x => (y => swiglu(y, y))(add(x, 1))],
  ['two readers', x => (y => add(gelu(y), silu(y)))(add(x, 1))],
  ['a half, which has no room for floats', x => silu(cast(add(x, 1), 'float16'))],
  ['a reader that keeps it as a factor', x => (y => mul(silu(y), y))(add(x, 1))],
]

describe.each(backends)('gradients over kept tensors on $name', ({ make }) => {
  it.each(chains)('are the same: %s', (_name, chain) => {
    withBackend(make(), () => {
      const data = Float32Array.from({ length: 11 }, (_, i) => i / 4 - 1)
      const gradient = (around: Around): Tensor => {
        const x = tensor(data, [11], { requiresGrad: true })
        step(() => backward(around(() => sum(chain(x)))))
        return x.grad as Tensor
      }
      expect(gradient(scoped).dataSync()).toEqual(gradient(plainly).dataSync())
    })
  })

  it('need no room of their own', () => {
    const backend = make()
    withBackend(backend, () => {
      const count = 4096
      const x = tensor(new Float32Array(count), [count], { requiresGrad: true })
      const dy = tensor(new Float32Array(count), [count])
      const growth = (around: Around): number =>
        step(() => {
          const y = around(() => add(silu(add(x, 1)), 0))
          backend.resetPeak()
          const before = backend.memory().used
          backward(y, dy)
          return backend.memory().peak - before
        })
      // The upload of dy, and outside of a scope a gradient.
      const bytes = (count * backend.precision) / 8
      expect(growth(scoped)).toBeLessThan(1.1 * bytes)
      expect(growth(plainly)).toBeGreaterThanOrEqual(2 * bytes)
    })
  })
})

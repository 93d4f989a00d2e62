// `lowrank/wasm-relaxed`: refused with a clear error where the engine has no relaxed SIMD; elsewhere products
// within the error of either rounding, and a backend that says what it is. Node 20 has relaxed SIMD behind a
// flag, which is set while this file runs.

import { setFlagsFromString } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { reference } from '../../../src/backends/reference/index.ts'
import { hasRelaxedSimd, wasm } from '../../../src/backends/wasm_relaxed/index.ts'
import { type Backend, withBackend } from '../../../src/core/backend.ts'
import { Random } from '../../../src/core/rng.ts'
import { backward, step } from '../../../src/core/tape.ts'
import { type Tensor, tensor } from '../../../src/core/tensor.ts'
import { scaledDotProductAttention } from '../../../src/ops/attention.ts'
import { matmul } from '../../../src/ops/matmul.ts'
import { sum } from '../../../src/ops/sum.ts'
import { scaledError } from '../../support/fixture.ts'

const before = hasRelaxedSimd()
setFlagsFromString('--experimental-wasm-relaxed-simd')

const draws = (count: number, seed: string): Float32Array => {
  const random = new Random(5, seed)
  return Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)
}

interface Outcome {
  readonly y: ArrayLike<number>
  readonly gradients: (ArrayLike<number> | undefined)[]
}

function outcome(
  backend: Backend,
  fn: (...inputs: Tensor[]) => Tensor,
  ...shapes: readonly (readonly number[])[]
): Outcome {
  return withBackend(backend, () => {
    const inputs = shapes.map((shape, i) => {
      const count = shape.reduce((a, b) => a * b, 1)
      return tensor(draws(count, `input ${i}`), shape, { requiresGrad: true })
    })
    const y = step(() => {
      const result = fn(...inputs)
      backward(sum(result))
      return result
    })
    return { y: y.dataSync(), gradients: inputs.map(({ grad }) => grad?.dataSync()) }
  })
}

function expectClose(got: Outcome, want: Outcome, K: number): void {
  // A sum of K products is off by at most K·2⁻²⁴ of the sum of their magnitudes, fused or not.
  const tolerance = 4 * K * 2 ** -24
  expect(scaledError(got.y, want.y)).toBeLessThanOrEqual(tolerance)
  got.gradients.forEach((gradient, i) => {
    const other = want.gradients[i] as ArrayLike<number>
    expect(scaledError(gradient as ArrayLike<number>, other)).toBeLessThanOrEqual(tolerance)
  })
}

it.skipIf(before)('says what is missing where the engine has no relaxed SIMD', () => {
  setFlagsFromString('--no-experimental-wasm-relaxed-simd')
  expect(() => wasm({ relaxed: true })).toThrow(
    'wasm: expected an engine with relaxed SIMD, got one without',
  )
  setFlagsFromString('--experimental-wasm-relaxed-simd')
})

it('is the ordinary backend unless it is asked for', () => {
  expect(wasm().memory()).toMatchObject({ backend: 'wasm', reproducible: true })
})

describe('wasm({ relaxed: true })', () => {
  it('says that its bits are those of the machine', () => {
    const backend = wasm({ relaxed: true })
    expect(backend.memory()).toMatchObject({ backend: 'wasm-relaxed', reproducible: false })
  })

  it.each([
    [1, 1, 1],
    [5, 9, 7],
    [4, 64, 8],
    [33, 300, 41],
  ])('multiplies %i × %i × %i as the reference does', (M, K, N) => {
    const run = (backend: Backend): Outcome =>
      outcome(backend, (a, b) => matmul(a, b), [M, K], [K, N])
    expectClose(run(wasm({ relaxed: true })), run(reference()), Math.max(M, K, N))
  })

  it('has attention of its own', () => {
    const fn = (q: Tensor, k: Tensor, v: Tensor): Tensor =>
      scaledDotProductAttention(q, k, v, { isCausal: true })
    const shape = [1, 19, 2, 16]
    const run = (backend: Backend): Outcome => outcome(backend, fn, shape, shape, shape)
    expectClose(run(wasm({ relaxed: true })), run(reference()), 64)
  })

  it('takes no more memory than it is given', () => {
    const backend = wasm({ relaxed: true, maximumBytes: 1 << 20 })
    const tooLarge = (): unknown =>
      withBackend(backend, () => sum(tensor(new Float32Array(1 << 20), [1 << 20])).itemSync())
    expect(tooLarge).toThrow('the memory cannot grow beyond')
  })
})

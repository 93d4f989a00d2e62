// swiglu: parity and gradients around the width of a vector, parts of a wider matrix, what is kept.

import { describe, expect, it } from 'vitest'
import { binary } from '../../src/backends/wasm/binaries/transformer.ts'
import { withBackend } from '../../src/core/backend.ts'
import { scoped } from '../../src/core/scope.ts'
import { noGrad, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { mul } from '../../src/ops/mul.ts'
import { silu } from '../../src/ops/silu.ts'
import { swiglu, swigluReference } from '../../src/ops/swiglu.ts'
import { backends } from '../support/backends.ts'
import { KernelInstance } from '../support/instance.ts'
import { checkOp } from '../support/op.ts'

describe('swiglu', () => {
  it.each([0, 1, 3, 4, 5, 8, 9, 33])('of %d elements', count => {
    const inputs = [{ shape: [count], low: -1, high: 6 }, { shape: [count] }]
    checkOp({ name: `swiglu ${count}`, fn: swiglu, inputs })
  })

  it('has a gradient for one side alone', () => {
    const shape = [2, 5]
    checkOp({ name: 'gate', fn: swiglu, inputs: [{ shape }, { shape, constant: true }] })
    checkOp({ name: 'up', fn: swiglu, inputs: [{ shape, constant: true }, { shape }] })
  })

  it('refuses shapes that differ', () => {
    const wide: Tensor = tensor([1, 2], [2])
    expect(() => swiglu(wide, tensor([1], [1]))).toThrow('swiglu: gate is [2], up is [1]')
  })

  it.each(backends)('is silu times up on $name', ({ make }) => {
    withBackend(make(), () => {
      const gate = tensor([-3, -0.5, 0, 2, 40], [5])
      const up = tensor([1, -2, 3, 0.25, -1], [5])
      const want = noGrad(() => mul(silu(gate), up).dataSync())
      expect(swiglu(gate, up).dataSync()).toEqual(want)
    })
  })

  it.each(backends)('keeps nothing but gate and up on $name', ({ make }) => {
    const backend = make()
    withBackend(backend, () => {
      const gate = tensor(new Float32Array(256).fill(1), [256], { requiresGrad: true })
      const up = tensor(new Float32Array(256).fill(1), [256])
      step(() => {
        scoped(() => {
          swiglu(gate, up)
        })
        // The uploads of both; the result went with its scope.
        expect(backend.memory().used).toBe((2 * 256 * backend.precision) / 8)
      })
    })
  })
})

describe('the kernels of swiglu', () => {
  const instance = new KernelInstance(binary.module(), 1)

  it('work on parts of one wide matrix, and write nothing else', () => {
    const [rows, cols, stride] = [3, 5, 13]
    const [gateOffset, upOffset] = [1, 7]
    const matrix = Float32Array.from({ length: rows * stride }, (_, i) => ((i * 29) % 17) / 4 - 2)
    const dy = Float32Array.from({ length: rows * cols }, (_, i) => ((i * 13) % 11) / 4 - 1)
    const fused = instance.reserve(matrix.byteLength)
    const upstream = instance.reserve(dy.byteLength)
    const gradient = instance.reserve(matrix.byteLength)
    const result = instance.reserve(dy.byteLength)
    instance.f32(fused, matrix.length).set(matrix)
    instance.f32(upstream, dy.length).set(dy)
    instance.f32(gradient, matrix.length).fill(99)
    const { swiglu: forward, swiglu_backward: backward } = instance.kernels
    forward(fused, gateOffset, stride, fused, upOffset, stride, result, rows, cols)
    backward(
      fused,
      gateOffset,
      stride,
      fused,
      upOffset,
      stride,
      upstream,
      gradient,
      gradient,
      rows,
      cols,
    )
    const y = new Float64Array(dy.length)
    const dmatrix = new Float64Array(matrix.length).fill(99)
    swigluReference.swiglu(matrix, gateOffset, stride, matrix, upOffset, stride, y, rows, cols)
    swigluReference.swiglu_backward(
      matrix,
      gateOffset,
      stride,
      matrix,
      upOffset,
      stride,
      dy,
      dmatrix,
      dmatrix,
      rows,
      cols,
    )
    instance.f32(result, y.length).forEach((value, i) => {
      expect(Math.abs(value - y[i])).toBeLessThanOrEqual(1e-6)
    })
    instance.f32(gradient, dmatrix.length).forEach((value, i) => {
      expect(Math.abs(value - dmatrix[i])).toBeLessThanOrEqual(1e-6)
    })
  })
})

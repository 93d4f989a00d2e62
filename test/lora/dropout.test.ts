// Dropout in front of A: never at evaluation, the same mask forward and backward, drawn anew each step.

import {
  attach,
  Linear,
  loraLinear,
  manualSeed,
  step,
  type Tensor,
  tensor,
  withBackend,
} from 'lowrank'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { gradcheck } from '../../src/core/gradcheck.ts'
import { isRecording } from '../../src/core/op.ts'
import { withDraws } from '../../src/core/random_state.ts'
import { attach as attachAny } from '../../src/lora/index.ts'
import { backends } from '../support/backends.ts'

const [I, O] = [8, 5]
const values = Float32Array.from({ length: 3 * I }, (_, i) => ((i * 7) % 11) / 5 - 1)

describe.each(backends)('loraDropout on $name', ({ make }) => {
  it('acts while a step records, and only on the update', () => {
    withBackend(make(), () => {
      manualSeed(2)
      const layer = attach(new Linear(I, O), { r: 2, loraDropout: 0.5, initLoraWeights: false })
      const x = tensor(values, [3, I])
      const evaluated = layer.forward(x).dataSync()
      expect(layer.forward(x).dataSync()).toEqual(evaluated)
      const trained = step(() => layer.forward(x)).dataSync()
      expect(trained).not.toEqual(evaluated)
      const off = step(() => layer.forward(x, { adapter: null })).dataSync()
      expect(off).toEqual(layer.forward(x, { adapter: null }).dataSync())
    })
  })

  it('draws other elements in every step', () => {
    withBackend(make(), () => {
      manualSeed(2)
      const layer = attach(new Linear(I, O), { r: 2, loraDropout: 0.5, initLoraWeights: false })
      const x = tensor(values, [3, I])
      const [first, second] = [1, 2].map(() => step(() => layer.forward(x)).dataSync())
      expect(first).not.toEqual(second)
    })
  })
})

const options = { atol: 1e-7, rtol: 1e-6 }

describe('the gradients under a fixed mask', () => {
  const x = (): Tensor => tensor(values, [3, I])

  it('hold against finite differences for x, A and B', () => {
    withBackend(reference(), () => {
      const part = (count: number, shape: readonly number[]): Tensor =>
        tensor(
          Float32Array.from({ length: count }, (_, i) => ((i * 5) % 7) / 3 - 0.9),
          shape,
        )
      const report = gradcheck(
        (x, W, A, B) =>
          loraLinear(x, W, undefined, [
            { A, B, scale: 1.5, dropout: { p: 0.4, seed: 4, stream: 9 } },
          ]),
        [x(), part(O * I, [O, I]), part(2 * I, [2, I]), part(O * 2, [O, 2])],
        options,
      )
      expect(report.ok, JSON.stringify(report.worst)).toBe(true)
    })
  })

  it('hold against finite differences for x under DoRA', () => {
    withBackend(reference(), () => {
      manualSeed(2)
      const config = { r: 2, loraAlpha: 5, loraDropout: 0.4, initLoraWeights: false }
      const layer = attachAny(new Linear(I, O), { ...config, useDora: true })
      const masked = (x: Tensor): Tensor =>
        withDraws({ seed: 4, stream: 9 }, () => layer.forward(x))
      // Dropout acts only while a step records: also where the difference is taken.
      const report = gradcheck(
        x => (isRecording() ? masked(x) : step(() => masked(x))),
        [x()],
        options,
      )
      expect(report.ok, JSON.stringify(report.worst)).toBe(true)
    })
  })
})

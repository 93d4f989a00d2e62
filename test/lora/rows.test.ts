// A batch whose rows go through different adapters equals its rows one by one, in values and in
// gradients, with adapters of different ranks, rows of one adapter apart from each other, and none.

import { attach, backward, Linear, manualSeed, Random, step, type Tensor, tensor } from 'lowrank'
import { attach as attachAny, type LoraModule, setAdapter } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { setBackend } from '../../src/core/backend.ts'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'

const [I, O, ROWS] = [6, 5, 6]
const NAMES = ['a', 'b', 'a', '__base__', 'b', 'a']

function draw(name: string, shape: readonly number[]): Tensor {
  const random = new Random(5, name)
  const count = shape.reduce((n, size) => n * size, 1)
  return tensor(
    Float32Array.from({ length: count }, () => random.normal()),
    shape,
  )
}

function layerOf(options: object): LoraModule {
  manualSeed(1)
  const one = { r: 2, loraAlpha: 6, initLoraWeights: false, ...options }
  const layer = attachAny(new Linear(I, O), one, { adapterName: 'a' })
  attach(layer, { r: 3, loraAlpha: 4, initLoraWeights: false }, { adapterName: 'b' })
  setAdapter(layer, ['a', 'b'])
  return layer
}

/** Values of A and B of both adapters' gradients. */
function gradientsOf(layer: LoraModule): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const [name, { A, B }] of layer.adapters) {
    found.set(`${name}.A`, [...(A.grad?.dataSync() ?? [])])
    found.set(`${name}.B`, [...(B.grad?.dataSync() ?? [])])
  }
  return found
}

/** Sums of K + R terms in another order; f32 rounding of each. */
const TOLERANCE = 4e-6

describe.each(backends)('rows with adapters of their own on $name', ({ make }) => {
  it.each([
    ['plain', {}],
    ['DoRA', { useDora: true }],
  ])('equal row by row: %s', (_, options) => {
    setBackend(make())
    try {
      const layer = layerOf(options)
      const [x, dy] = [draw('x', [ROWS, 2, I]), draw('dy', [ROWS, 2, O])]
      const y = step(() => {
        const y = layer.forward(x, { adapterNames: NAMES })
        backward(y, dy)
        return y
      }).dataSync()
      const together = gradientsOf(layer)
      const alone = layerOf(options)
      step(() => {
        NAMES.forEach((name, row) => {
          const part = (t: Tensor, width: number): Tensor =>
            tensor(t.dataSync().subarray(row * 2 * width, (row + 1) * 2 * width), [1, 2, width])
          const own = alone.forward(part(x, I), { adapter: name === '__base__' ? null : name })
          const got = y.subarray(row * 2 * O, (row + 1) * 2 * O)
          expect(scaledError(got, own.dataSync()), `row ${row}`).toBeLessThanOrEqual(TOLERANCE)
          if (name !== '__base__') {
            backward(own, part(dy, O))
          }
        })
      })
      for (const [name, want] of gradientsOf(alone)) {
        const error = scaledError(together.get(name) ?? [], want)
        expect(error, name).toBeLessThanOrEqual(TOLERANCE)
      }
    } finally {
      setBackend(undefined)
    }
  })
})

// Groups of a convolution share the rank of an update: B [out, r / groups, 1, 1] starts with so many
// elements, whatever the start.

import { Conv2d, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { attach, load, saveAdapter } from 'lowrank/lora'
import { expect, it } from 'vitest'

it.each([true, false, 'gaussian'])('starts by %s', async initLoraWeights => {
  const make = (): Conv2d => new Conv2d(4, 6, 3, { groups: 2 })
  const base = make()
  const layer = attach(base, { r: 4, initLoraWeights })
  const { A, B } = layer.adapters.get('default') ?? {}
  expect([A?.shape, B?.shape]).toEqual([
    [4, 4, 3, 3],
    [6, 2, 1, 1],
  ])
  expect(B?.dataSync().length).toBe(12)
  const files = memoryDirectory()
  await saveAdapter(layer, files)
  const again = await load(base.like(base.weight, base.bias), files)
  const x = tensor(
    Float32Array.from({ length: 64 }, (_, i) => (i % 7) - 3),
    [1, 4, 4, 4],
  )
  expect(again.forward(x).dataSync()).toEqual(layer.forward(x).dataSync())
})

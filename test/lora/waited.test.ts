// Capabilities that wait by themselves, on a backend that cannot be read at once: each gives there what
// it gives on wasm.

import { manualSeed, setBackend, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  attach,
  attachEva,
  combine,
  deltaWeight,
  disableAdapters,
  load,
  loraLayers,
  saveAdapter,
  setAdapter,
} from 'lowrank/lora'
import { afterEach, describe, expect, it } from 'vitest'
import { tinyLlama } from '../support/models.ts'
import {
  belongsTo,
  both,
  elements,
  input,
  targetModules,
  trained,
  usedNet,
} from '../support/waited.ts'

afterEach(() => setBackend(undefined))

describe('what needs no onCpu on a backend that is waited for', () => {
  it('starts DoRA, trains it, saves it, and loads it', () =>
    both(async backend => {
      const model = attach(await usedNet(), { r: 2, loraAlpha: 6, targetModules, useDora: true })
      belongsTo(model, backend)
      const start = await elements(model)
      await trained(model)
      const files = memoryDirectory()
      await saveAdapter(model, files)
      const again = await load(await usedNet(), files)
      expect(await again.forward(input()).data()).toEqual(await model.forward(input()).data())
      // ‖W‖ is a sum of squares in f64 on wasm and in f32 here.
      const close = (found: Record<string, ArrayLike<number>>): string[] =>
        Object.values(found).flatMap(values => Array.from(values, value => value.toFixed(4)))
      return [close(start), close(await elements(model))]
    }))

  it('saves whole modules and trains biases of weights in use', () =>
    both(async backend => {
      const config = { r: 2, targetModules: ['up'], modulesToSave: ['down'], bias: 'all' } as const
      const model = attach(await usedNet(), config)
      belongsTo(model, backend)
      const start = await elements(model)
      await trained(model)
      const base = await disableAdapters(() => model.forward(input())).data()
      expect(base).toEqual(await (await usedNet()).forward(input()).data())
      return [start, await elements(model)]
    }))

  it('trains single tokens of an embedding in use', () =>
    both(async backend => {
      manualSeed(5)
      const model = tinyLlama()
      const ids = tensor([1, 2, 3], [1, 3], { dtype: 'int32' })
      await model.forward(ids).data()
      attach(model, { r: 2, trainableTokenIndices: [2, 7] })
      belongsTo(model, backend)
      return [await elements(model), await model.forward(ids).data()]
    }))

  it('starts from the principal components of what layers are given', () =>
    both(async () => {
      const model = await usedNet()
      const batches = [0, 1, 2].map(batch => {
        const values = Float32Array.from({ length: 96 }, (_, i) => ((i * 7 + batch * 5) % 23) - 11)
        return tensor(values, [16, 6])
      })
      const attached = await attachEva(model, { r: 2, targetModules }, batches, {
        forward: (net, x) => net.forward(x),
        tau: 0.5,
      })
      return elements(attached)
    }))

  it('combines adapters, and gives the product of one', () =>
    both(async () => {
      const model = attach(await usedNet(), { r: 2, targetModules }, { adapterName: 'a' })
      await trained(model)
      attach(model, { r: 2, targetModules }, { adapterName: 'b' })
      await combine(model, ['a', 'b'], {
        adapterName: 'both',
        combinationType: 'svd',
        weights: [1, 0.5],
      })
      setAdapter(model, 'both')
      const [{ layer }] = loraLayers(model)
      const [state] = layer.states()
      return [await elements(model), await deltaWeight(layer, state).data()]
    }))
})

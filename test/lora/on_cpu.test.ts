// Capabilities that look at elements at once, on a backend that cannot be read at once: each gives there
// what it gives on wasm, bit for bit, and leaves the model where it was.

import { attach as attachPlain, Linear, manualSeed, setBackend, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  attach,
  hotSwap,
  type LoraConfig,
  load,
  loraLayers,
  merge,
  mergeAndUnload,
  mergedLayer,
  onCpu,
  padRanks,
  saveAdapter,
  unmerge,
} from 'lowrank/lora'
import { resizeTokenEmbeddings } from 'lowrank/models'
import { wasm } from 'lowrank/wasm'
import { afterEach, describe, expect, it } from 'vitest'
import { DeferredBackend } from '../support/deferred.ts'
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

type Work = () => Promise<unknown>

afterEach(() => setBackend(undefined))

describe('onCpu', () => {
  it('merges, and unmerging gives the base back', () =>
    both(async backend => {
      const model = attach(await usedNet(), { r: 2, loraAlpha: 6, targetModules })
      await trained(model)
      const before = await elements(model)
      const reports = await onCpu(model, () => merge(model, undefined, { safe: true }))
      belongsTo(model, backend)
      for (const { layer } of loraLayers(model)) {
        expect(layer.merged?.weight.backend).toBe(backend)
      }
      const merged = await model.forward(input()).data()
      unmerge(model)
      expect(await elements(model)).toEqual(before)
      return [reports, merged, await model.forward(input()).data()]
    }))

  it('merges and unloads a model, and a layer of its own', () =>
    both(async backend => {
      const model = attach(await usedNet(), { r: 2, targetModules })
      await trained(model)
      await onCpu(model, () => mergeAndUnload(model))
      const single = attach(new Linear(6, 4), { r: 2 })
      const plain = await onCpu(single, () => mergeAndUnload(single))
      belongsTo(model, backend)
      belongsTo(plain, backend)
      return [await elements(model), await elements(plain), await plain.forward(input()).data()]
    }))

  it('gives the buffers of what is unloaded back at once', async () => {
    const backend = new DeferredBackend()
    setBackend(backend)
    const layer = attach(new Linear(64, 64), { r: 2 })
    await layer.forward(tensor(new Float32Array(64), [1, 64])).data()
    const before = backend.memory().used
    await onCpu(layer, () => mergeAndUnload(layer))
    expect(before - backend.memory().used).toBeGreaterThanOrEqual(4 * (64 * 64 + 2 * 2 * 64))
  })

  it('gives the memory of what is unloaded back', async () => {
    const backend = new DeferredBackend()
    setBackend(backend)
    const cycle = async (): Promise<number> => {
      const model = attach(await usedNet(), { r: 2, targetModules })
      await trained(model)
      await onCpu(model, () => mergeAndUnload(model))
      await model.forward(input()).data()
      model.dispose()
      // Results that nobody kept are given back once they are collected.
      for (let i = 0; i < 3; i++) {
        globalThis.gc?.()
        await new Promise(resolve => setTimeout(resolve, 0))
      }
      return backend.memory().used
    }
    const [first, second] = [await cycle(), await cycle()]
    expect(second).toBe(first)
  })

  it.each(['pissa', 'olora', 'pissa_niter_2', 'mica'])('starts by %s from weights in use', init =>
    both(async backend => {
      const model = await usedNet()
      const config = { r: 2, targetModules, initLoraWeights: init } as LoraConfig
      await onCpu(model, () => attach(model, config))
      belongsTo(model, backend)
      const before = await elements(model)
      await trained(model)
      const files = memoryDirectory()
      await saveAdapter(model, files)
      const again = await load(await usedNet(), files)
      expect(await again.forward(input()).data()).toEqual(await model.forward(input()).data())
      return [before, await elements(model)]
    }),
  )

  it('leaves the base where it was, and its buffers', async () => {
    setBackend(new DeferredBackend())
    const model = attach(await usedNet(), { r: 2, targetModules })
    const [{ layer }] = loraLayers(model)
    const { storage } = layer.base.weight
    await onCpu(model, () => mergedLayer(layer))
    expect(layer.base.weight.storage).toBe(storage)
  })

  it('sees what is written in place of an adapter', () =>
    both(async () => {
      const model = attach(await usedNet(), { r: 2, targetModules })
      await onCpu(model, () => {
        for (const { layer } of loraLayers(model)) {
          layer.states()[0].B.replace(new Float32Array(layer.outFeatures * 2).fill(0.5))
        }
      })
      return model.forward(input()).data()
    }))

  it('puts the model back where its work throws', async () => {
    const backend = new DeferredBackend()
    setBackend(backend)
    const model = attach(await usedNet(), { r: 2, targetModules })
    const before = await elements(model)
    const work: Work = () =>
      onCpu(model, () => {
        throw new RangeError('no')
      })
    await expect(work()).rejects.toThrow(RangeError)
    belongsTo(model, backend)
    expect(await elements(model)).toEqual(before)
  })

  it('pads ranks, and swaps a larger adapter in', () =>
    both(async backend => {
      const files = memoryDirectory()
      const larger = attach(await usedNet(), { r: 4, targetModules })
      await trained(larger)
      await saveAdapter(larger, files)
      const model = attach(await usedNet(), { r: 2, targetModules })
      await onCpu(model, () => padRanks(model, 4))
      belongsTo(model, backend)
      await hotSwap(model, files)
      expect(await model.forward(input()).data()).toEqual(await larger.forward(input()).data())
      return elements(model)
    }))

  it('sees what is written into the buffer of a frozen adapter', () =>
    both(async () => {
      const files = memoryDirectory()
      await saveAdapter(attach(await usedNet(), { r: 2, targetModules }), files)
      const model = await load(await usedNet(), files)
      await model.forward(input()).data()
      await onCpu(model, () => {
        for (const { layer } of loraLayers(model)) {
          const { B } = layer.states()[0]
          B.backend.write(B.buffer(), 'float32', new Float32Array(B.size).fill(0.5))
        }
      })
      return [await elements(model), await model.forward(input()).data()]
    }))

  it('resizes a vocabulary', () =>
    both(async backend => {
      manualSeed(5)
      const model = tinyLlama()
      const ids = tensor([1, 2, 3], [1, 3], { dtype: 'int32' })
      await model.forward(ids).data()
      const { vocabSize } = model.sizes
      await onCpu(model, () => resizeTokenEmbeddings(model, vocabSize + 2))
      belongsTo(model, backend)
      return [await elements(model), await model.forward(ids).data()]
    }))

  it('runs its work alone where the backend can be read at once', async () => {
    setBackend(wasm())
    const layer = attachPlain(new Linear(4, 4), { r: 2 })
    const { storage } = layer.base.weight
    expect(await onCpu(layer, () => layer.base.weight.storage)).toBe(storage)
  })
})

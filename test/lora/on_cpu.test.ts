// Capabilities that look at elements at once, on a backend that cannot be read at once: each gives there
// what it gives on wasm, bit for bit, and leaves the model where it was.

import {
  attach as attachPlain,
  Conv1D,
  Linear,
  Module,
  manualSeed,
  setBackend,
  type Tensor,
  tensor,
} from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  attach,
  attachEva,
  combine,
  deltaWeight,
  disableAdapters,
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
  setAdapter,
  unmerge,
} from 'lowrank/lora'
import { resizeTokenEmbeddings } from 'lowrank/models'
import { trainStep } from 'lowrank/train'
import { wasm } from 'lowrank/wasm'
import { afterEach, describe, expect, it } from 'vitest'
import type { Backend } from '../../src/core/backend.ts'
import { mseLoss } from '../../src/ops/mse_loss.ts'
import { AdamW } from '../../src/optim/adamw.ts'
import { DeferredBackend } from '../support/deferred.ts'
import { tinyLlama } from '../support/models.ts'

class Net extends Module {
  readonly up: Linear = new Linear(6, 8)
  readonly down: Conv1D = new Conv1D(8, 5)
  forward(x: Tensor): Tensor {
    return this.down.forward(this.up.forward(x))
  }
}

const targetModules = ['up', 'down']
const input = (): Tensor => tensor([1, -2, 3, 0.5, 0.25, -1, 2, 1, 0, -3, 1, 4], [2, 6])

async function elements(module: Module): Promise<Record<string, ArrayLike<number>>> {
  const found: Record<string, ArrayLike<number>> = {}
  for (const [name, parameter] of module.namedParameters()) {
    found[name] = await parameter.data()
  }
  return found
}

function belongsTo(module: Module, backend: Backend): void {
  for (const [name, parameter] of module.namedParameters()) {
    expect(parameter.backend, name).toBe(backend)
  }
}

/** A net whose weights have been used, so that they are on the backend. */
async function usedNet(): Promise<Net> {
  manualSeed(5)
  const net = new Net()
  await net.forward(input()).data()
  return net
}

async function trained(model: Module): Promise<void> {
  const optimizer = new AdamW(model.trainable(), { lr: 0.1 })
  const target = tensor(new Float32Array(10), [2, 5])
  for (let i = 0; i < 2; i++) {
    await trainStep(optimizer, () => mseLoss(model.forward(input()), target))
  }
  optimizer.dispose()
}

type Work = () => Promise<unknown>

/** The same work on wasm and on a backend that is waited for. */
async function both(work: (backend: Backend) => Promise<unknown>): Promise<void> {
  const results: unknown[] = []
  for (const backend of [wasm(), new DeferredBackend()]) {
    setBackend(backend)
    results.push(await work(backend))
  }
  expect(results[1]).toEqual(results[0])
}

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

  it('sees what is written into a frozen adapter', () =>
    both(async () => {
      const files = [memoryDirectory(), memoryDirectory()]
      for (const [i, directory] of files.entries()) {
        const model = attach(await usedNet(), { r: 2, loraAlpha: 2 + i, targetModules })
        await trained(model)
        await saveAdapter(model, directory)
      }
      const [first, second] = files
      const model = await load(await usedNet(), first)
      await model.forward(input()).data()
      await onCpu(model, () => hotSwap(model, second))
      const expected = await load(await usedNet(), second)
      expect(await model.forward(input()).data()).toEqual(await expected.forward(input()).data())
      return elements(model)
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

// Calls of onCpu beside other calls, beside training, and with work that it refuses: the model is whole
// afterwards.

import {
  attach as attachPlain,
  Linear,
  Module,
  manualSeed,
  type Parameter,
  setBackend,
  type Tensor,
  tensor,
} from 'lowrank'
import {
  attach,
  type LoraModule,
  loraLayers,
  mergeAndUnload,
  mergedLayer,
  onCpu,
} from 'lowrank/lora'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { DeferredBackend } from '../support/deferred.ts'
import { belongsTo, both, input, targetModules, trained, usedNet } from '../support/waited.ts'

class Holder extends Module {
  readonly layer: LoraModule
  constructor(layer: LoraModule) {
    super()
    this.layer = layer
  }
  forward(x: Tensor): Tensor {
    return this.layer.forward(x)
  }
}

afterEach(() => setBackend(undefined))

describe('calls of onCpu', () => {
  it('takes one call after the other, of models that share parameters too', () =>
    both(async () => {
      manualSeed(5)
      const layer = attachPlain(new Linear(4, 4), { r: 2 })
      const outer = new Holder(layer)
      await layer.forward(tensor([1, 1, 1, 1], [1, 4])).data()
      const { A, B } = layer.states()[0]
      const fill = (factor: Parameter, value: number) => () =>
        factor.replace(new Float32Array(8).fill(value))
      await Promise.all([
        onCpu(outer, fill(A, 7)),
        onCpu(layer, fill(B, 3)),
        onCpu(outer, () => undefined),
      ])
      expect([...(await A.data()), ...(await B.data())]).toEqual([
        ...new Array(8).fill(7),
        ...new Array(8).fill(3),
      ])
      return layer.forward(tensor([1, 1, 1, 1], [1, 4])).data()
    }))

  it('goes on after a call that failed', async () => {
    setBackend(new DeferredBackend())
    const model = attach(await usedNet(), { r: 2, targetModules })
    const refused = onCpu(model, () => {
      throw new RangeError('no')
    })
    const next = onCpu(model, () => 'done')
    await expect(refused).rejects.toThrow(RangeError)
    expect(await next).toBe('done')
  })

  it('refuses asynchronous work, with the model put back', () =>
    both(async backend => {
      const model = attach(await usedNet(), { r: 2, targetModules })
      await expect(onCpu(model, async () => mergeAndUnload(model))).rejects.toThrow(
        'onCpu: expected a synchronous function, got one that returns a promise',
      )
      belongsTo(model, backend)
      return model.forward(input()).data()
    }))

  it('leaves no moment in which the model is elsewhere', async () => {
    setBackend(new DeferredBackend())
    const model = attach(await usedNet(), { r: 2, targetModules })
    const [{ layer }] = loraLayers(model)
    const { storage } = layer.base.weight
    let after: unknown
    await onCpu(model, () => {
      expect(layer.base.weight.storage).not.toBe(storage)
      queueMicrotask(() => {
        after = layer.base.weight.storage
      })
    })
    expect(after).toBe(storage)
  })

  it('undoes no training step that was made while it read', async () => {
    setBackend(new DeferredBackend())
    const model = attach(await usedNet(), { r: 2, targetModules })
    await trained(model)
    const work = vi.fn()
    const call = onCpu(model, work)
    await Promise.all([
      trained(model),
      expect(call).rejects.toThrow(
        /^onCpu: expected a model that nothing else uses, got one of which \d+ parameters changed/,
      ),
    ])
    expect(work).not.toHaveBeenCalled()
  })

  it('undoes no attachment that was made while it read', async () => {
    setBackend(new DeferredBackend())
    const model = await usedNet()
    const call = onCpu(model, () => undefined)
    await new Promise(resolve => setTimeout(resolve, 0))
    attach(model, { r: 2, targetModules })
    await expect(call).rejects.toThrow('changed while it was read')
  })

  it('puts modules in arrays and records back', () =>
    both(async backend => {
      const model = attach(await usedNet(), { r: 2, targetModules })
      const [up, down] = loraLayers(model).map(({ layer }) => layer)
      const [first, { second }] = await onCpu(
        model,
        () => [mergedLayer(up), { second: [mergedLayer(down)] }] as const,
      )
      belongsTo(first, backend)
      belongsTo(second[0], backend)
    }))
})

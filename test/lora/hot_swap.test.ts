// Another adapter in the place of one that serves: it computes what loading it would, in the buffers that
// were there, and leaves every other byte alone.

import { Linear, LowrankError, manualSeed, memory, setBackend, type Tensor, tensor } from 'lowrank'
import { type Directory, memoryDirectory } from 'lowrank/io'
import {
  attach,
  hotSwap,
  type LoraConfig,
  type LoraModule,
  load,
  merge,
  padRanks,
  saveAdapter,
} from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { backends } from '../support/backends.ts'

const x = (): Tensor => tensor([0.5, -1, 2, 1.5, 1, 0.25], [1, 6])

/** The layer is the same whatever adapters it gets. */
function base(): Linear {
  manualSeed(5)
  return new Linear(6, 4)
}

/** An adapter file whose update is not zero. */
async function file(seed: number, config: LoraConfig): Promise<Directory> {
  const plain = base()
  manualSeed(seed)
  const layer = attach(plain, { initLoraWeights: false, ...config })
  for (const { trained } of [layer.parametersOf('default')]) {
    for (const parameter of trained) {
      parameter.replace(parameter.dataSync().map(value => value + 0.25))
    }
  }
  const out = memoryDirectory()
  await saveAdapter(layer, out)
  return out
}

const outputs = (layer: LoraModule, adapter = 'default'): ArrayLike<number> =>
  layer.forward(x(), { adapter }).dataSync()

describe.each(backends)('hotSwap on $name', ({ make }) => {
  const run = async (fn: () => Promise<void>): Promise<void> => {
    setBackend(make())
    await fn().finally(() => setBackend(undefined))
  }

  it.each([
    ['plain', { r: 2, loraAlpha: 6 }, { r: 4, loraAlpha: 2 }],
    ['rank-stabilised', { r: 2, loraAlpha: 6 }, { r: 3, loraAlpha: 2, useRslora: true }],
    ['DoRA', { r: 1, loraAlpha: 3, useDora: true }, { r: 3, loraAlpha: 2, useDora: true }],
    ['biased', { r: 1, loraAlpha: 3, loraBias: true }, { r: 2, loraAlpha: 2, loraBias: true }],
  ] as const)('computes what loading does: %s', (_, first, second) =>
    run(async () => {
      const [one, two] = [await file(1, first), await file(2, second)]
      const want = outputs(await load(base(), two))
      const layer = await load(base(), one)
      padRanks(layer, 4)
      const before = outputs(await load(base(), one))
      Array.from(outputs(layer)).forEach((value, i) => {
        expect(value).toBeCloseTo(before[i], 5)
      })
      await hotSwap(layer, two)
      Array.from(outputs(layer)).forEach((value, i) => {
        expect(value).toBeCloseTo(want[i], 5)
      })
      const out = memoryDirectory()
      await saveAdapter(layer, out)
      Array.from(outputs(await load(base(), out))).forEach((value, i) => {
        expect(value).toBeCloseTo(want[i], 5)
      })
    }),
  )

  it('allocates nothing and leaves other adapters and the base alone', () =>
    run(async () => {
      const [one, two] = [await file(1, { r: 4 }), await file(2, { r: 2 })]
      const first = await load(base(), one)
      const layer = (await load(first, two, { adapterName: 'other' })) as LoraModule<Linear>
      outputs(layer)
      outputs(layer, 'other')
      const state = layer.adapters.get('default')
      const kept = [layer.base.weight, ...layer.parametersOf('other').all].map(p => p.bits())
      const used = memory().used
      await hotSwap(layer, two)
      outputs(layer)
      expect(memory().used).toBe(used)
      expect(layer.adapters.get('default')?.A).toBe(state?.A)
      const now = [layer.base.weight, ...layer.parametersOf('other').all].map(p => p.bits())
      expect(now).toEqual(kept)
      Array.from(outputs(layer)).forEach((value, i) => {
        expect(value).toBeCloseTo(outputs(layer, 'other')[i], 5)
      })
    }))

  it('forgets what was merged', () =>
    run(async () => {
      const [one, two] = [await file(1, { r: 2 }), await file(2, { r: 2 })]
      const layer = await load(base(), one)
      merge(layer)
      await hotSwap(layer, two)
      expect(layer.forward(x()).dataSync()).toEqual(outputs(await load(base(), two)))
    }))

  it('refuses what does not fit, before anything changes', () =>
    run(async () => {
      const layer = await load(base(), await file(1, { r: 2 }))
      const before = outputs(layer)
      const larger = await file(2, { r: 3 })
      const refusal = await hotSwap(layer, larger).catch(error => error)
      expect(refusal).toBeInstanceOf(LowrankError)
      expect(refusal.message).toContain('has room for rank 2, the new adapter has 3')
      const other = await hotSwap(layer, await file(2, { r: 2, useDora: true })).catch(e => e)
      expect(other.message).toContain('expected an adapter like the one that it replaces')
      const absent = await hotSwap(layer, larger, { adapterName: 'b' }).catch(error => error)
      expect(absent.message).toContain('there is no adapter "b"')
      expect(outputs(layer)).toEqual(before)
    }))
})

// Merging: what a half-precision base loses is said, what is not finite is refused.

import { Linear, manualSeed, Parameter, type Tensor, tensor } from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import {
  attach,
  deleteAdapter,
  hotSwap,
  type LoraModule,
  load,
  merge,
  mergeAndUnload,
  mergedLayer,
  saveAdapter,
  setAdapter,
} from 'lowrank/lora'
import { describe, expect, it } from 'vitest'

function layerOf(dtype: 'float32' | 'bfloat16', update: number): LoraModule<Linear> {
  const base = new Linear(2, 2, { bias: false })
  base.weight = new Parameter([1, 1, 1, 1], [2, 2], { dtype })
  const layer = attach(base, { r: 1, loraAlpha: 1, loraDropout: 0 })
  layer.adapters.get('default')?.A.replace([1, 1])
  layer.adapters.get('default')?.B.replace([update, update])
  return layer
}

describe('the report of merging', () => {
  it('is nothing where nothing is rounded', () => {
    expect(merge(layerOf('float32', 0.3))).toEqual([{ path: '', dtype: 'float32', rounding: 0 }])
    expect(merge(layerOf('bfloat16', 0.5))[0]?.rounding).toBe(0)
  })

  it('says which share of the update a half-precision base lost', () => {
    // The steps of bfloat16 above 1 are 2⁻⁷: an update of 2⁻⁹ is lost, of 3·2⁻⁹ rounds to 4·2⁻⁹.
    expect(merge(layerOf('bfloat16', 1 / 512))[0]?.rounding).toBe(1)
    expect(merge(layerOf('bfloat16', 3 / 512))[0]?.rounding).toBeCloseTo(1 / 3, 6)
  })
})

describe('a safe merge', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %s and changes nothing', value => {
    const layer = layerOf('float32', value)
    expect(() => merge(layer, undefined, { safe: true })).toThrow('would hold NaN or infinities')
    expect(layer.merged).toBeUndefined()
    expect(() => mergeAndUnload(layer, { safe: true })).toThrow('would hold NaN')
    expect(layer.adapters.size).toBe(1)
    merge(layer)
    expect(layer.merged).toBeDefined()
  })
})

/** A layer with the adapters a and b, a in use; both change it. */
function twoAdapters(): LoraModule<Linear> {
  manualSeed(3)
  const one = { r: 2, loraAlpha: 6, initLoraWeights: false }
  const layer = attach(new Linear(4, 3), one, { adapterName: 'b' })
  return attach(layer, one, { adapterName: 'a' }) as unknown as LoraModule<Linear>
}

describe('what was merged', () => {
  const x = (): Tensor => tensor([1, -2, 0.5, 3], [1, 4])
  const valuesOf = (layer: LoraModule): unknown => layer.forward(x()).dataSync()

  it('makes way for every change of the adapters', async () => {
    const directory = memoryDirectory()
    await saveAdapter(twoAdapters(), directory, { adapterName: 'b' })
    const changes: Record<string, (layer: LoraModule<Linear>) => unknown> = {
      'another adapter': layer => setAdapter(layer, 'b'),
      none: layer => setAdapter(layer, null),
      'a deleted one': layer => deleteAdapter(layer, 'a'),
      'a fresh one': layer => attach(layer, { r: 1, initLoraWeights: false }, { adapterName: 'c' }),
      'one of a file': layer => load(layer, directory, { adapterName: 'c' }),
      'one that is swapped': layer => hotSwap(layer, directory, { adapterName: 'a' }),
    }
    for (const [name, change] of Object.entries(changes)) {
      const [merged, plain] = [twoAdapters(), twoAdapters()]
      const before = valuesOf(plain)
      merge(merged)
      await change(merged)
      manualSeed(3)
      await change(plain)
      expect(merged.merged, name).toBeUndefined()
      if (name !== 'a fresh one') {
        expect(valuesOf(merged), name).toEqual(valuesOf(plain))
      }
      expect(valuesOf(merged), name).not.toEqual(before)
    }
  })
})

describe('an adapter that does not exist', () => {
  it.each(['typo', ['a', 'typo']])('is not merged: %s', names => {
    const layer = twoAdapters()
    const message = 'there is no adapter "typo" (there are: b, a)'
    expect(() => merge(layer, names)).toThrow(message)
    expect(() => mergedLayer(layer, names)).toThrow(message)
    expect(() => mergeAndUnload(layer, { adapter: names })).toThrow(message)
    expect([...layer.adapters.keys()]).toEqual(['b', 'a'])
  })

  it('nor is one merged twice', () => {
    expect(() => mergedLayer(twoAdapters(), ['a', 'a'])).toThrow('each adapter once, got a, a')
  })
})

describe('dtypes', () => {
  it('are those of each parameter, unless one is asked for', () => {
    const base = new Linear(2, 2)
    base.weight = new Parameter([1, 1, 1, 1], [2, 2], { dtype: 'bfloat16' })
    base.bias = new Parameter([0.1, 0.2], [2])
    const before = base.bias.dataSync()
    const layer = attach(base, { r: 1 })
    const plain = mergedLayer(layer)
    expect(plain.weight.dtype).toBe('bfloat16')
    expect(plain.bias?.dtype).toBe('float32')
    expect(plain.bias?.dataSync()).toEqual(before)
    expect(mergedLayer(layer, undefined, 'float16').bias?.dtype).toBe('float16')
  })
})

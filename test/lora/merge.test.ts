// Merging: what a half-precision base loses is said, what is not finite is refused.

import { Linear, Parameter } from 'lowrank'
import { attach, type LoraModule, merge, mergeAndUnload } from 'lowrank/lora'
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

// A variant that changes the whole weight is no update s·B·A: to analyze it as one would report a change
// that is not the adapter's.

import { Linear, LowrankError } from 'lowrank'
import {
  adapterChanges,
  amplification,
  deltaNorm,
  relativeChange,
  singularValues,
} from 'lowrank/analysis'
import { attach, type LoraModule } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'

/** DoRA with doubled magnitudes: twice the weight, although B is zero. */
function doubled(): LoraModule {
  const layer = attach(new Linear(6, 4), { r: 2, useDora: true })
  const magnitude = layer.adapters.get('default')?.extra?.lora_magnitude_vector
  magnitude?.replace(magnitude.dataSync().map(value => 2 * value))
  return layer
}

describe('DoRA is refused by', () => {
  it.each([
    ['singularValues', (layer: LoraModule) => singularValues(layer.states())],
    ['deltaNorm', (layer: LoraModule) => deltaNorm(layer.states())],
    ['relativeChange', (layer: LoraModule) => relativeChange(layer)],
    ['amplification', (layer: LoraModule) => amplification(layer)],
    ['adapterChanges', (layer: LoraModule) => adapterChanges(layer)],
  ])('%s', async (_, run) => {
    const error = await run(doubled()).catch(caught => caught)
    expect(error).toBeInstanceOf(LowrankError)
    expect(error.message).toContain('got dora, which changes the whole weight')
  })

  it('none of them beside fused layers, whose update is s·B·A', async () => {
    const layer = attach(new Linear(6, 4), { r: 2, enableLora: [true, false] })
    expect(await relativeChange(layer)).toBe(0)
  })
})

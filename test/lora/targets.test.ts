// Which layers a configuration means, and that each starts from numbers of its own.

import { attach, manualSeed } from 'lowrank'
import { loraLayers } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import { matchesTarget, patternValue } from '../../src/lora/targets.ts'
import { tinyLlama } from '../support/models.ts'

describe('a pattern as target', () => {
  const matches = (path: string, pattern: string): boolean =>
    matchesTarget('targetModules', path, pattern)

  it('is of the whole path: neither a beginning nor an end will do', () => {
    expect(matches('layers.1.q_proj', String.raw`layers\.\d\.q_proj`)).toBe(true)
    expect(matches('layers.1.q_proj', 'q_proj')).toBe(false)
    expect(matches('layers.1.q_proj', String.raw`layers\.1`)).toBe(false)
    expect(matches('layers.1.q_proj.old', String.raw`layers\.\d\.q_proj`)).toBe(false)
  })

  it('of ranks is of a whole dotted suffix', () => {
    const value = (path: string, pattern: string): number | undefined =>
      patternValue('rankPattern', path, { [pattern]: 3 })
    expect(value('layers.1.q_proj', 'q_proj')).toBe(3)
    expect(value('layers.1.q_proj', String.raw`\d\.q_proj`)).toBe(3)
    expect(value('layers.1.qq_proj', 'q_proj')).toBeUndefined()
    expect(value('layers.1.q_proj_old', 'q_proj')).toBeUndefined()
  })
})

describe('fresh adapters', () => {
  it('start differently on each layer', () => {
    manualSeed(1)
    const model = attach(tinyLlama(), { r: 2, targetModules: ['q_proj', 'o_proj'] })
    const starts = loraLayers(model).map(({ layer }) =>
      layer.adapters.get('default')?.A.dataSync().join(),
    )
    expect(starts.length).toBe(4)
    expect(new Set(starts).size).toBe(4)
  })
})

// Which layers a configuration means, and that each starts from numbers of its own.

import { attach, manualSeed } from 'lowrank'
import { loraLayers } from 'lowrank/lora'
import { describe, expect, it } from 'vitest'
import {
  compilePattern,
  exactChoice,
  exactPattern,
  matchesTarget,
  nearMisses,
  patternValue,
} from '../../src/lora/targets.ts'
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

describe('what Python writes otherwise', () => {
  const matches = (path: string, pattern: string): boolean =>
    matchesTarget('targetModules', path, pattern)

  it.each([
    [String.raw`\A.*\.q_proj\Z`, 'layers.1.q_proj', 'layers.1.v_proj'],
    [String.raw`(\Aa|b)\.fc`, 'a.fc', 'ab.fc'],
    [String.raw`(?P<name>\w+)\.(?P=name)`, 'fc.fc', 'fc.fd'],
    [String.raw`a{,2}\.fc`, 'aa.fc', 'aaa.fc'],
  ])('is translated: %s', (pattern, path, other) => {
    expect(matches(path, pattern)).toBe(true)
    expect(matches(other, pattern)).toBe(false)
  })

  it.each(['(?i)Q_PROJ', '(?x) q', '(?>a)b', 'a++', '(?#c)a'])('is refused: %s', pattern => {
    expect(() => matches('q_proj', pattern)).toThrow('is not a valid pattern')
  })
})

describe('a path alone', () => {
  it('is what exactPattern means, here and below PEFT', () => {
    const patterns = { [exactPattern('fc')]: 1, [exactPattern('block.fc')]: 2 }
    const value = (path: string): number | undefined => patternValue('rankPattern', path, patterns)
    expect(['fc', 'block.fc', 'a.block.fc', 'block+fc'].map(value)).toEqual([
      1,
      2,
      undefined,
      undefined,
    ])
  })

  it('is what exactChoice means', () => {
    const all = ['fc', 'block.fc', 'block', 'other']
    expect(exactChoice(['block.fc', 'other'], all).targetModules).toEqual(['block.fc', 'other'])
    const { targetModules } = exactChoice(['fc', 'other'], all)
    expect(all.filter(path => matchesTarget('', path, targetModules))).toEqual(['fc', 'other'])
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

describe('near misses', () => {
  it.each([
    ['layers.0.self_attn.vproj', ['v_proj', 'lm_head'], ['v_proj']],
    ['abc', ['ade', 'xyz'], ['ade']],
    ['abxyz', ['ab'], []],
    ['abcdefghijkl', ['abcdefghzzzz', 'abcdefgzzzzz'], ['abcdefghzzzz']],
    ['fc', ['fc12', 'fc1', 'fc2', 'fb', 'fc', 'fc1'], ['fc', 'fc1', 'fc2']],
    ['fcxy', ['fc', 'fcx'], ['fcx', 'fc']],
  ])('of %s among %j are %j, the nearest first', (wanted, names, near) => {
    expect(nearMisses(wanted, names)).toEqual(near)
  })
})

it('a pattern that is none is refused with the reason of the engine', () => {
  const compile = () => compilePattern('targetModules', '(q_proj')
  expect(compile).toThrow('targetModules: "(q_proj" is not a valid pattern: ')
  try {
    compile()
  } catch (error) {
    expect((error as Error).cause).toBeInstanceOf(SyntaxError)
  }
})

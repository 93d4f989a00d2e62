// Rotary tables: the rope types against their formulas, and tables that
// grow and change with the length of a sequence.

import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { scoped } from '../../src/core/scope.ts'
import { backward, step } from '../../src/core/tape.ts'
import { tensor } from '../../src/core/tensor.ts'
import { RopeTables, readRopeConfig, ropeFrequencies } from '../../src/nn/rope_tables.ts'
import { rope } from '../../src/ops/rope.ts'
import { backends } from '../support/backends.ts'
import { scaledError } from '../support/fixture.ts'

describe('ropeFrequencies', () => {
  it('reads the older form of config.json too', () => {
    const newer = { rope_parameters: { rope_type: 'linear', rope_theta: 5000, factor: 4 } }
    const older = { rope_theta: 5000, rope_scaling: { type: 'linear', factor: 4 } }
    expect(readRopeConfig('old', older, 8)).toEqual(readRopeConfig('new', newer, 8))
    const neox = { rotary_pct: 0.25, rotary_emb_base: 5000 }
    expect(readRopeConfig('neox', neox, 32)).toMatchObject({ dim: 8, theta: 5000 })
  })

  it('enlarges theta beyond the length of the model: dynamic', () => {
    const scaling = { rope_type: 'dynamic', factor: 4 }
    const json = { rope_scaling: scaling, max_position_embeddings: 100 }
    const config = readRopeConfig('dynamic', json, 8)
    expect(ropeFrequencies(config, 100)).toEqual(ropeFrequencies(readRopeConfig('plain', {}, 8)))
    const theta = 10000 * (4 * 2.5 - 3) ** (8 / 6)
    const want = [0, 2, 4, 6].map(i => theta ** (-i / 8))
    expect(scaledError(ropeFrequencies(config, 250), want)).toBeLessThan(1e-14)
    expect(ropeFrequencies(readRopeConfig('two', json, 2), 250)).toEqual(Float64Array.of(1))
  })

  it('divides by factors of their own, other ones beyond the original length: longrope', () => {
    const json = {
      rope_scaling: { type: 'longrope', short_factor: [1, 2], long_factor: [4, 8] },
      original_max_position_embeddings: 16,
      max_position_embeddings: 64,
    }
    const config = readRopeConfig('longrope', json, 4)
    expect(scaledError(ropeFrequencies(config, 16), [1, 0.01 / 2])).toBeLessThan(1e-15)
    expect(scaledError(ropeFrequencies(config, 17), [1 / 4, 0.01 / 8])).toBeLessThan(1e-15)
    expect(config.attentionFactor).toBeCloseTo(Math.sqrt(1 + Math.log(4) / Math.log(16)), 14)
  })

  it('mixes the two by a ramp over the dimensions: yarn', () => {
    const scaling = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64 }
    const config = readRopeConfig('yarn', { rope_scaling: scaling }, 16)
    const dimension = (turns: number): number =>
      (16 * Math.log(64 / (turns * 2 * Math.PI))) / (2 * Math.log(10000))
    const low = Math.max(Math.floor(dimension(32)), 0)
    const high = Math.min(Math.ceil(dimension(1)), 15)
    const want = Array.from({ length: 8 }, (_, i) => {
      const ramp = Math.min(Math.max((i - low) / (high - low), 0), 1)
      return 10000 ** (-i / 8) * (ramp / 4 + 1 - ramp)
    })
    expect(scaledError(ropeFrequencies(config), want)).toBeLessThan(1e-14)
    expect(config.attentionFactor).toBeCloseTo(0.1 * Math.log(4) + 1, 14)
    const given = { ...scaling, mscale: 2, mscale_all_dim: 1 }
    expect(readRopeConfig('yarn', { rope_scaling: given }, 16).attentionFactor).toBeCloseTo(
      (0.2 * Math.log(4) + 1) / (0.1 * Math.log(4) + 1),
      14,
    )
  })

  it('lists everything that is wrong with a config', () => {
    const json = {
      rope_parameters: { rope_type: 'spiral', rope_theta: -1 },
      partial_rotary_factor: 0.2,
    }
    expect(() => readRopeConfig('config.json', json, 16)).toThrow(
      'config.json: 3 problems\n' +
        '  - rope: rope_type: expected default, linear, dynamic, llama3, yarn, longrope, got "spiral"\n' +
        '  - rope: expected an even number of rotated dimensions, got 3\n' +
        '  - rope: rope_theta: expected a number above 0, got -1',
    )
    expect(() =>
      readRopeConfig('config.json', { rope_scaling: { type: 'su', short_factor: [1] } }, 4),
    ).toThrow(
      'config.json: 2 problems\n' +
        '  - rope: short_factor: expected 2 numbers above 0, got [1]\n' +
        '  - rope: long_factor: expected 2 numbers above 0, got undefined',
    )
    expect(() => readRopeConfig('config.json', { rope_scaling: { type: 'linear' } }, 4)).toThrow(
      'config.json: rope: factor: expected a number above 0, got undefined',
    )
  })
})

describe.each(backends)('RopeTables on $name', ({ make }) => {
  it('hold the cosines and sines of p · f(i)', () => {
    withBackend(make(), () => {
      const config = readRopeConfig('config', { rope_theta: 50 }, 6)
      const { cos, sin } = new RopeTables(config, 100).upTo(40)
      const angles = Array.from({ length: 120 }, (_, at) => {
        const [p, i] = [Math.floor(at / 3), at % 3]
        return p * 50 ** (-i / 3)
      })
      // Rounded once to f32 on wasm.
      const tolerance = cos.backend.precision === 64 ? 1e-13 : 2 ** -24
      expect(
        scaledError(
          scoped(() => cos.dataSync()),
          angles.map(Math.cos),
        ),
      ).toBeLessThan(tolerance)
      expect(
        scaledError(
          scoped(() => sin.dataSync()),
          angles.map(Math.sin),
        ),
      ).toBeLessThan(tolerance)
    })
  })

  it('grow, up to the most, and keep what a step has used', () => {
    const backend = make()
    withBackend(backend, () => {
      const tables = new RopeTables(readRopeConfig('config', {}, 4), 50)
      expect(tables.upTo(10).cos.shape).toEqual([10, 2])
      expect(tables.upTo(11).cos.shape).toEqual([20, 2])
      expect(tables.upTo(5).cos.shape).toEqual([20, 2])
      const x = tensor([1, 2, 3, 4], [1, 1, 1, 4], { requiresGrad: true })
      step(() => {
        const before = tables.upTo(20)
        const y = rope(x, before.cos, before.sin, { offset: 3 })
        expect(tables.upTo(45).cos.shape).toEqual([45, 2])
        backward(y, tensor([1, 0, 0, 0], [1, 1, 1, 4]))
      })
      expect(x.grad?.dataSync()[0]).toBeCloseTo(Math.cos(3), 6)
      tables.dispose()
    })
  })

  it('give their memory back', () => {
    const backend = make()
    withBackend(backend, () => {
      const before = backend.memory().used
      const tables = new RopeTables(readRopeConfig('config', {}, 4), 50)
      const { cos, sin } = tables.upTo(10)
      rope(tensor([1, 2, 3, 4], [1, 1, 1, 4]), cos, sin)
      expect(backend.memory().used).toBeGreaterThan(before)
      tables.dispose()
      expect(backend.memory().used).toBe(before)
    })
  })
})

describe('RopeTables of types that depend on the length', () => {
  it('change with it, and back', () => {
    withBackend(reference(), () => {
      const json = {
        rope_scaling: { type: 'longrope', short_factor: [1, 1], long_factor: [2, 2] },
        original_max_position_embeddings: 16,
        max_position_embeddings: 64,
      }
      const config = readRopeConfig('longrope', json, 4)
      const tables = new RopeTables(config, 64)
      const second = (length: number): number => tables.upTo(length).sin.dataSync()[2]
      const scale = config.attentionFactor
      expect(second(12)).toBeCloseTo(Math.sin(1) * scale, 12)
      expect(second(17)).toBeCloseTo(Math.sin(0.5) * scale, 12)
      expect(second(12)).toBeCloseTo(Math.sin(1) * scale, 12)
    })
  })
})

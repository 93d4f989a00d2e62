// loraPlusGroups: what has no decay, what is refused.

import { describe, expect, test } from 'vitest'
import { Parameter } from '../../src/core/parameter.ts'
import { loraPlusGroups } from '../../src/optim/lora_plus.ts'

function named(name: string, shape: number[]): Parameter {
  const count = shape.reduce((product, size) => product * size, 1)
  const parameter = new Parameter(new Float32Array(count), shape)
  parameter.name = name
  return parameter
}

describe('loraPlusGroups', () => {
  test('trained layer norms have no decay, RMS norms have', () => {
    const still = ['h.0.ln_1.weight', 'LayerNorm.weight', 'LayerNorm.bias']
    const decaying = ['model.norm.weight', 'layers.0.input_layernorm.weight', 'magnitude']
    const groups = loraPlusGroups(
      [...still, ...decaying].map(name => named(name, [2])),
      { lr: 1e-3, ratio: 4, weightDecay: 0.1 },
    )
    expect(groups[3].params.map(({ name }) => name)).toEqual(still)
    expect(groups[2].params.map(({ name }) => name)).toEqual(decaying)
  })

  test('says everything that is wrong', () => {
    expect(() => loraPlusGroups([named('', [2])], { lr: -1, ratio: Number.NaN })).toThrow(
      /loraPlusGroups: 3 problems\n.*lr.*-1\n.*ratio.*NaN\n.*parameter 0 has no name/,
    )
  })
})

// Every layer that is exported, alone and under an adapter of every variant: gradients of all its
// parameters against differences, and the same numbers on every backend. Scale is not 1, A and B are
// not zero, biases are there.

import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { scaledError } from '../../src/conformance/index.ts'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { manualSeed } from '../../src/core/random_state.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import { attach, type LoraConfig } from '../../src/lora/index.ts'
import * as nn from '../../src/nn/index.ts'
import { backends } from '../support/backends.ts'

interface LayerSample {
  readonly make: () => nn.Module
  readonly shape: readonly number[]
  /** The input is indices below this. */
  readonly below?: number
  /** Whether LoRA wraps it. */
  readonly adaptable?: boolean
}

const layers: Readonly<Record<string, LayerSample>> = {
  Linear: { make: () => new nn.Linear(5, 4), shape: [2, 3, 5], adaptable: true },
  Conv1D: { make: () => new nn.Conv1D(5, 4), shape: [2, 3, 5], adaptable: true },
  Conv2d: {
    make: () => new nn.Conv2d(2, 4, 3, { padding: 1, stride: [2, 1] }),
    shape: [2, 2, 4, 3],
    adaptable: true,
  },
  Embedding: { make: () => new nn.Embedding(6, 5), shape: [2, 3], below: 6, adaptable: true },
  LayerNorm: { make: () => new nn.LayerNorm(6), shape: [3, 6] },
  RMSNorm: { make: () => new nn.RMSNorm(6), shape: [3, 6] },
}

const adapters: Readonly<Record<string, LoraConfig>> = {
  LoRA: { r: 3, loraAlpha: 5, initLoraWeights: false },
  rsLoRA: { r: 3, loraAlpha: 5, useRslora: true, initLoraWeights: false },
  DoRA: { r: 3, loraAlpha: 5, useDora: true, initLoraWeights: false },
}

function floats(random: Random, count: number): Float32Array {
  return Float32Array.from({ length: count }, () => random.uniform() * 2 - 1)
}

function inputOf({ shape, below }: LayerSample, random: Random): Tensor {
  const count = shape.reduce((n, size) => n * size, 1)
  const data = Array.from({ length: count }, () => random.uniform())
  return below === undefined
    ? tensor(
        Float32Array.from(data, u => 2 * u - 1),
        shape,
      )
    : tensor(
        data.map(u => Math.floor(below * u)),
        shape,
        { dtype: 'int32' },
      )
}

/** A layer with drawn parameters, trained ones first among them. */
function made(sample: LayerSample, config: LoraConfig | undefined): nn.Module {
  manualSeed(3)
  const plain = sample.make()
  const layer = config ? (attach(plain, config) as nn.Module) : plain
  const random = new Random(4, 'parameters')
  for (const parameter of layer.parameters()) {
    if (parameter.requiresGrad) {
      parameter.replace(floats(random, parameter.size))
    }
  }
  return layer
}

interface Outcome {
  readonly y: ArrayLike<number>
  readonly gradients: (readonly [name: string, values: ArrayLike<number>])[]
}

function outcome(sample: LayerSample, config: LoraConfig | undefined, backend: Backend): Outcome {
  return withBackend(backend, () => {
    const layer = made(sample, config)
    const random = new Random(5, 'x')
    const x = inputOf(sample, random)
    const y = step(() => {
      const result = layer.forward(x) as Tensor
      backward(result, tensor(floats(random, result.size), result.shape))
      return result
    })
    const trained = [...layer.namedParameters()].filter(([, p]) => p.requiresGrad)
    return {
      y: y.dataSync(),
      gradients: trained.map(([name, p]) => [name, p.grad?.dataSync() ?? []] as const),
    }
  })
}

/** dL/dp by differences, for every trained parameter. */
function differences(sample: LayerSample, config: LoraConfig | undefined): Outcome['gradients'] {
  return withBackend(reference(), () => {
    const layer = made(sample, config)
    const random = new Random(5, 'x')
    const x = inputOf(sample, random)
    const first = layer.forward(x) as Tensor
    const dy = floats(random, first.size)
    const loss = (): number =>
      Array.from((layer.forward(x) as Tensor).dataSync(), (value, i) => value * dy[i]).reduce(
        (sum, term) => sum + term,
      )
    const trained = [...layer.namedParameters()].filter(([, p]) => p.requiresGrad)
    return trained.map(([name, parameter]) => {
      const values = parameter.dataSync()
      const at = (i: number, shift: number): number => {
        const moved = Float64Array.from(values)
        moved[i] += shift
        parameter.replace(moved)
        return loss()
      }
      const h = 1e-6
      const gradient = Array.from(values, (_, i) => (at(i, h) - at(i, -h)) / (2 * h))
      parameter.replace(values)
      return [name, gradient] as const
    })
  })
}

const cases = Object.entries(layers).flatMap(([name, sample]) => [
  [name, sample, undefined] as const,
  ...(sample.adaptable
    ? Object.entries(adapters).map(
        ([kind, config]) => [`${kind} on ${name}`, sample, config] as const,
      )
    : []),
])

it('every exported layer is here', () => {
  const exported = Object.entries(nn).filter(
    ([, value]) => typeof value === 'function' && value.prototype instanceof nn.Module,
  )
  expect(exported.map(([name]) => name).filter(name => !(name in layers))).toEqual([])
})

describe('gradients', () => {
  it.each(cases)('of %s', (_, sample, config) => {
    // DoRA takes the norm as a constant, which differences do not: only the magnitude is compared.
    const compared = (name: string): boolean => !config?.useDora || name.includes('magnitude')
    const got = outcome(sample, config, reference()).gradients.filter(([name]) => compared(name))
    const want = differences(sample, config).filter(([name]) => compared(name))
    expect(got.length).toBeGreaterThan(0)
    got.forEach(([name, values], i) => {
      expect(want[i][0]).toBe(name)
      // Differences of h = 1e-6: 1e-16 · |L| / h, with |L| below 100.
      expect(scaledError(values, want[i][1]), name).toBeLessThan(1e-7)
    })
  })
})

describe.each(backends)('layers on $name', ({ make }) => {
  it.each(cases)('%s equals the reference', (_, sample, config) => {
    const want = outcome(sample, config, reference())
    const got = outcome(sample, config, make())
    expect(scaledError(got.y, want.y)).toBeLessThan(2e-6)
    got.gradients.forEach(([name, values], i) => {
      expect(scaledError(values, want.gradients[i][1]), name).toBeLessThan(4e-6)
    })
  })
})

// Nothing that is exported goes unchecked: every op has a sample, every sample passes the sharp
// gradient check and gives the same on every backend, and a fault planted in the backward of any op
// is caught. Every optimizer has a golden trajectory and a place in the fingerprint.

import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import { OPTIMIZER_SAMPLES } from '../../src/conformance/fingerprint_optimizers.ts'
import { scaledError } from '../../src/conformance/index.ts'
import { OPTIMIZERS } from '../../src/conformance/optim/trajectory.ts'
import {
  draw,
  inputsOf,
  isDifferentiated,
  SAMPLES,
  type Sample,
  sampleName,
} from '../../src/conformance/samples/index.ts'
import { type Backend, withBackend } from '../../src/core/backend.ts'
import { type GradcheckReport, gradcheck } from '../../src/core/gradcheck.ts'
import { type AnyOp, observeOps } from '../../src/core/op.ts'
import { Random } from '../../src/core/rng.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import * as nn from '../../src/nn/index.ts'
import * as ops from '../../src/ops/index.ts'
import * as optim from '../../src/optim/index.ts'
import { backends } from '../support/backends.ts'

const functions = Object.entries(ops).filter(([, value]) => typeof value === 'function')
const names = functions.map(([name]) => name).filter(name => !name.endsWith('Op'))
const definitions = functions.flatMap(([name, op]) =>
  'definition' in op ? [[name, op.definition as AnyOp] as const] : [],
)
const differentiable = SAMPLES.filter(
  ({ op, cut, inputs }) => op !== 'argmax' && !cut && inputs.some(isDifferentiated),
)
const named = (samples: readonly Sample[]) =>
  samples.map(sample => [sampleName(sample), sample] as const)

function check(sample: Sample, seed: number): GradcheckReport {
  const backend = reference()
  return withBackend(backend, () => {
    const inputs = inputsOf(sample, draw(sample, seed), backend)
    const wrt = sample.inputs.map((_, i) => i).filter(i => isDifferentiated(sample.inputs[i]))
    return gradcheck(sample.call, inputs, { wrt, method: 'richardson' })
  })
}

/** Values and gradients of a sample. */
function outcome(sample: Sample, backend: Backend): ArrayLike<number>[] {
  return withBackend(backend, () => {
    const inputs = inputsOf(sample, draw(sample, 1), backend)
    const random = new Random(1, 'dy')
    const y = step(() => {
      const result = sample.call(...inputs)
      if (result.requiresGrad) {
        const dy = Float32Array.from({ length: result.size }, () => random.uniform() * 2 - 1)
        backward(result, tensor(dy, result.shape))
      }
      return result
    })
    return [y.dataSync(), ...inputs.map(({ grad }) => grad?.dataSync() ?? [])]
  })
}

describe('exports', () => {
  it('every op has a sample', () => {
    const sampled = new Set(SAMPLES.map(({ op }) => op.replace(/Op$/, '')))
    expect(names.filter(name => !sampled.has(name))).toEqual([])
    expect([...sampled].filter(name => !names.includes(name))).toEqual([])
  })

  it('every optimizer has a golden trajectory and a sample', () => {
    const classes = Object.entries(optim).filter(
      ([, value]) => typeof value === 'function' && value.prototype instanceof optim.Optimizer,
    )
    const golden = Object.values(OPTIMIZERS) as unknown[]
    expect(classes.filter(([, value]) => !golden.includes(value))).toEqual([])
    const sampled = Object.keys(OPTIMIZER_SAMPLES)
    expect(classes.filter(([name]) => !sampled.includes(name))).toEqual([])
  })
})

describe('the specification', () => {
  const page = readFileSync(new URL('../../docs/specification.md', import.meta.url), 'utf8')
  const headings = page.match(/^### .*$/gm)?.join('\n') ?? ''
  const classes = (module: object): string[] =>
    Object.entries(module).flatMap(([name, value]) =>
      typeof value === 'function' && value.prototype?.constructor === value ? [name] : [],
    )

  it.each([...names, ...classes(nn), ...classes(optim)])('has %s', name => {
    expect(headings).toContain(`\`${name}\``)
  })
})

describe('gradients, to seven digits', () => {
  it.each(named(differentiable))('of %s', (_, sample) => {
    for (const seed of [1, 2]) {
      const { worst, checked } = check(sample, seed)
      expect(checked).toBeGreaterThan(0)
      expect(worst?.error, JSON.stringify(worst)).toBeLessThanOrEqual(1)
    }
  })
})

describe.each(backends)('samples on $name', ({ make }) => {
  it.each(named(SAMPLES))('%s equals the reference', (_, sample) => {
    const want = outcome(sample, reference())
    const got = outcome(sample, make())
    got.forEach((values, i) => {
      expect(scaledError(values, want[i]), `${i}`).toBeLessThanOrEqual(sample.tolerance ?? 4e-6)
    })
  })
})

/** The ops whose backward a sample runs. */
function walked(sample: Sample): Set<string> {
  const found = new Set<string>()
  observeOps(({ name, phase }) => {
    if (phase === 'backward') {
      found.add(name)
    }
  })
  try {
    outcome(sample, reference())
  } finally {
    observeOps(undefined)
  }
  return found
}

/** Makes one element of the gradient of one input one percent too large. */
function plant(op: AnyOp, input: number): () => void {
  const { backward: right } = op
  op.backward = (context, dy, saved) => {
    const gradients = [...(right?.(context, dy, saved) ?? [])] as (Tensor | undefined)[]
    const wrong = gradients[input]
    if (wrong && wrong.size > 0) {
      const copy = context.empty(wrong.shape)
      const [from, to] = [context.floats(wrong), context.floats(copy)]
      for (let i = 0; i < wrong.size; i++) {
        to[i] = from[i]
      }
      to[wrong.size - 1] = to[wrong.size - 1] * 1.01 + 1e-4
      gradients[input] = copy
    }
    return gradients
  }
  return () => {
    op.backward = right
  }
}

/** The gradient of a cast is the upstream one; of all others, what gradcheck says. */
function isWrong(sample: Sample): boolean {
  if (sample.op === 'cast') {
    const [y, gradient] = outcome(sample, reference())
    const random = new Random(1, 'dy')
    const dy = Float32Array.from({ length: y.length }, () => random.uniform() * 2 - 1)
    return scaledError(gradient, dy) > 0
  }
  return differentiable.includes(sample) && !check(sample, 1).ok
}

describe('a fault in one element of a gradient is caught', () => {
  const backwards = SAMPLES.map(sample => [sample, walked(sample)] as const)
  const withGradient = definitions.filter(([, definition]) => definition.backward)

  it.each(withGradient)('%s', (_, definition) => {
    const users = backwards.filter(([, found]) => found.has(definition.name))
    expect(users.length, 'samples that run it backwards').toBeGreaterThan(0)
    const restore = plant(definition, firstGradient(definition, users[0][0]))
    try {
      expect(users.some(([sample]) => isWrong(sample))).toBe(true)
    } finally {
      restore()
    }
  })
})

/** Which of an op's inputs gets a gradient in a sample. */
function firstGradient(op: AnyOp, sample: Sample): number {
  const { backward: right } = op
  let found = 0
  op.backward = (context, dy, saved) => {
    const gradients = right?.(context, dy, saved) ?? []
    found = gradients.findIndex(gradient => gradient !== undefined)
    return gradients
  }
  try {
    outcome(sample, reference())
  } finally {
    op.backward = right
  }
  return found
}

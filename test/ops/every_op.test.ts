// What holds for every op, over the samples of all: numbers of the wrong kind are refused before a
// kernel takes their bits for something else, half precision is read as its values, and a gradient
// that no one needs is not computed.

import { afterEach, describe, expect, it } from 'vitest'
import { reference } from '../../src/backends/reference/index.ts'
import {
  draw,
  inputsOf,
  isDifferentiated,
  SAMPLES,
  type Sample,
  sampleName,
} from '../../src/conformance/samples/index.ts'
import { withBackend } from '../../src/core/backend.ts'
import { float16ToFloat32, float32ToFloat16 } from '../../src/core/half.ts'
import type { AnyOp } from '../../src/core/op.ts'
import { backward, step } from '../../src/core/tape.ts'
import { type Tensor, tensor } from '../../src/core/tensor.ts'
import * as ops from '../../src/ops/index.ts'
import { backends } from '../support/backends.ts'

const named = (samples: readonly Sample[]) =>
  samples.map(sample => [sampleName(sample), sample] as const)

/** Ops that move elements of any kind. */
const MOVES = ['cat', 'expand', 'permute', 'reshape', 'slice', 'transpose']
/** These samples make their integers themselves. */
const MAKES_INTEGERS = ['crossEntropy', 'linearCrossEntropy']

const isFloat = (sample: Sample, i: number): boolean => sample.inputs[i].below === undefined

/** The inputs of a sample, all numbers representable in half precision, one in another dtype. */
function inputsWith(
  sample: Sample,
  other: number | undefined,
  dtype: 'float32' | 'float16' | 'int32',
): Tensor[] {
  return draw(sample, 1).map((data, i) => {
    const own = isFloat(sample, i) ? 'float32' : 'int32'
    const wanted = i === other ? dtype : own
    const halves = Float32Array.from(data, value => float16ToFloat32(float32ToFloat16(value)))
    const values = wanted === 'int32' ? Int32Array.from(data, Math.round) : halves
    return tensor(values, sample.inputs[i].shape, { dtype: wanted })
  })
}

/** Every input of a sample that is of floats, or of integers. */
function positions(sample: Sample, float: boolean): number[] {
  return sample.inputs.map((_, i) => i).filter(i => isFloat(sample, i) === float)
}

describe.each(backends)('on $name', ({ make }) => {
  const computes = SAMPLES.filter(({ op }) => !MOVES.includes(op))
  it.each(named(computes))('%s refuses integers in place of floats', (_, sample) => {
    withBackend(make(), () => {
      for (const i of positions(sample, true)) {
        const inputs = inputsWith(sample, i, 'int32')
        expect(() => sample.call(...inputs), `input ${i}`).toThrow('expected floats, got int32')
      }
    })
  })

  const indexed = SAMPLES.filter(sample => positions(sample, false).length > 0)
  const given = indexed.filter(sample => !MAKES_INTEGERS.includes(sampleName(sample)))
  it.each(named(given))('%s refuses floats in place of integers', (_, sample) => {
    withBackend(make(), () => {
      for (const i of positions(sample, false)) {
        const inputs = inputsWith(sample, i, 'float32')
        expect(() => sample.call(...inputs), `input ${i}`).toThrow(/int32.*got float32/)
      }
    })
  })

  it.each(named(SAMPLES))('%s reads half precision', (_, sample) => {
    withBackend(make(), () => {
      const want = [...sample.call(...inputsWith(sample, undefined, 'float32')).dataSync()]
      for (const i of positions(sample, true)) {
        const y = sample.call(...inputsWith(sample, i, 'float16'))
        expect([...y.dataSync()], `input ${i}`).toEqual(want)
      }
    })
  })
})

const definitions = Object.values(ops).flatMap(op =>
  typeof op === 'function' && 'definition' in op ? [op.definition as AnyOp] : [],
)
const backwards = definitions.map(op => [op, op.backward] as const)

/** Lets every op tell which inputs it gave a gradient that the tape did not ask for. */
function watchBackward(found: string[]): void {
  for (const [op, right] of backwards) {
    op.backward = (context, dy, saved) => {
      const gradients = right?.(context, dy, saved) ?? []
      gradients.forEach((gradient, i) => {
        if (gradient && !context.needs[i]) {
          found.push(`${op.name}: input ${i}`)
        }
      })
      return gradients
    }
  }
}

/** The gradients of a sample in which only some inputs are trained. */
function gradients(sample: Sample, trained: readonly number[]): (ArrayLike<number> | undefined)[] {
  const backend = reference()
  return withBackend(backend, () => {
    const inputs = inputsOf(sample, draw(sample, 1), backend).map((input, i) =>
      isFloat(sample, i)
        ? tensor(input.dataSync(), input.shape, { requiresGrad: trained.includes(i) })
        : input,
    )
    step(() => {
      const y = sample.call(...inputs)
      backward(y, tensor(new Float32Array(y.size).fill(0.5), y.shape))
    })
    return inputs.map(({ grad }) => grad?.dataSync())
  })
}

describe('an input that is not trained', () => {
  afterEach(() => {
    for (const [op, right] of backwards) {
      op.backward = right
    }
  })

  const trainable = (sample: Sample): number[] =>
    sample.inputs.flatMap((input, i) => (isDifferentiated(input) ? [i] : []))
  const masked: Sample = {
    op: 'scaledDotProductAttention',
    variant: 'with a mask that is trained',
    inputs: [
      [1, 3, 2, 4],
      [1, 5, 2, 4],
      [1, 5, 2, 4],
      [2, 3, 5],
    ].map(shape => ({ shape })),
    call: (q, k, v, mask) => ops.scaledDotProductAttention(q, k, v, { mask }),
  }
  const several = [...SAMPLES, masked].filter(sample => trainable(sample).length > 1)

  it.each(named(several))('of %s costs no gradient, and changes no other', (_, sample) => {
    const unasked: string[] = []
    watchBackward(unasked)
    const all = trainable(sample)
    const want = gradients(sample, all)
    for (const i of all) {
      const alone = gradients(sample, [i])
      expect(alone).toEqual(want.map((gradient, k) => (k === i ? gradient : undefined)))
      const others = all.filter(k => k !== i)
      const rest = gradients(sample, others)
      expect(rest).toEqual(want.map((gradient, k) => (others.includes(k) ? gradient : undefined)))
    }
    expect(unasked).toEqual([])
  })
})

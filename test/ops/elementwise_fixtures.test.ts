// The golden cases of elementwise ops, losses and casts, on every backend.

import { describe, expect, it } from 'vitest'
import { withBackend } from '../../src/core/backend.ts'
import { tensor } from '../../src/core/tensor.ts'
import { cast, type FloatType } from '../../src/ops/cast.ts'
import { backends } from '../support/backends.ts'
import { type GoldenTensor, goldenCases, scaledError } from '../support/fixture.ts'
import { elementwiseFixtures } from '../support/op_fixtures_elementwise.ts'
import { runFixture } from '../support/run_fixture.ts'

const all = goldenCases('ops')
const cases = all.filter(({ json }) => json.op in elementwiseFixtures)
const casts = all.filter(({ json }) => json.kind === 'cast')

describe.each(backends)('golden cases on $name', ({ make }) => {
  it('cover every op of the table', () => {
    const covered = new Set(cases.map(({ json }) => json.op))
    expect([...covered].sort()).toEqual(Object.keys(elementwiseFixtures).sort())
    expect(casts.map(({ json }) => json.to).sort()).toEqual(['bfloat16', 'float16'])
  })

  it.each(cases.map(example => [example.name, example] as const))('%s', (_name, example) => {
    runFixture(example, elementwiseFixtures[example.json.op], make())
  })

  it.each(casts.map(example => [example.name, example] as const))('%s', (_name, example) => {
    const golden = (name: string): GoldenTensor => example.tensors.get(name) as GoldenTensor
    const dtype = example.json.to as FloatType
    const { data, shape } = golden('x')
    withBackend(make(), () => {
      const half = cast(tensor(data, shape), dtype)
      expect(half.dtype).toBe(dtype)
      const want = Uint16Array.from(golden('y_bits').data)
      expect(half.bits()).toEqual(want)
      const back = cast(half, 'float32')
      expect(back.dtype).toBe('float32')
      expect(scaledError(back.dataSync(), golden('back').data)).toBe(0)
    })
  })
})

// The golden cases of products, reductions, softmax and of moving elements, on every backend.

import { describe, expect, it } from 'vitest'
import { backends } from '../support/backends.ts'
import { goldenCases } from '../support/fixture.ts'
import { reductionFixtures } from '../support/op_fixtures_reductions.ts'
import { runFixture } from '../support/run_fixture.ts'

const cases = goldenCases('ops').filter(({ json }) => json.op in reductionFixtures)

describe.each(backends)('golden cases on $name', ({ make }) => {
  it('cover every op of the table', () => {
    const covered = new Set(cases.map(({ json }) => json.op))
    expect([...covered].sort()).toEqual(Object.keys(reductionFixtures).sort())
  })

  it.each(cases.map(example => [example.name, example] as const))('%s', (_name, example) => {
    runFixture(example, reductionFixtures[example.json.op], make())
  })
})

// The golden cases of optimizers, clipping, schedules and LoRA+, on every backend.

import { expect, it } from 'vitest'
import { OPTIMIZERS } from '../../src/conformance/optim/trajectory.ts'
import { SCHEDULE_NAMES } from '../../src/optim/index.ts'
import { describeFamily, familyCases } from '../support/conformance.ts'

await describeFamily('optim')

it('has a case of every optimizer and every schedule', async () => {
  const cases = await familyCases('optim')
  const optimizers = cases.map(({ json }) => json.optimizer).filter(name => name !== undefined)
  expect([...new Set(optimizers)].sort()).toEqual(Object.keys(OPTIMIZERS).sort())
  const schedules = cases.find(({ json }) => json.kind === 'schedules')
  const rows = schedules?.json.rows.map(({ name }: { name: string }) => name)
  expect(new Set(rows)).toEqual(new Set(SCHEDULE_NAMES))
})

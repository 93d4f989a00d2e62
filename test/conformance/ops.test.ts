// The golden cases of ops, on every backend; the table of calls names no op without a case.

import { expect, it } from 'vitest'
import { OP_CALLS } from '../../src/conformance/ops/index.ts'
import { describeFamily, familyCases } from '../support/conformance.ts'

await describeFamily('ops')

it('has a case of every op in the table', async () => {
  const ops = (await familyCases('ops')).map(({ json }) => json.op).filter(op => op !== undefined)
  expect([...new Set(ops)].sort()).toEqual(Object.keys(OP_CALLS).sort())
})

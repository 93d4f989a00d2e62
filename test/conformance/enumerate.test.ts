// Which rules a case falls under: those of the family that its JSON names, whatever its folder is called;
// and that a case without a tolerance says so.

import { expect, it } from 'vitest'
import { checkCase, library, readPlace } from '../../src/conformance/index.ts'
import { memoryDirectory } from '../../src/io/index.ts'
import { backends } from '../support/backends.ts'
import { familyCases } from '../support/conformance.ts'

const json = (value: object): string => JSON.stringify(value)

it.each([
  ['copied/one.json', { family: 'layers', kind: 'linear' }, 'layers', 'layers/linear'],
  ['copied/one/case.json', { family: 'models', kind: 'model' }, 'models', 'models/model'],
  ['merge/calls.json', { family: 'merge', case: 'calls' }, 'merge', 'merge/calls'],
  ['ops/one.json', { kind: 'op' }, 'ops', 'ops/op'],
])('%s with %j is of %s', async (path, value, family, kind) => {
  const root = memoryDirectory({ [path]: json(value) })
  const [found] = await readPlace(root, { family: path.split('/')[0], path })
  expect(found).toMatchObject({ family, kind })
})

it('names a tolerance that is missing', async () => {
  const [first] = await familyCases('layers')
  const example = { ...first, json: { ...first.json, dtype: undefined, tolerance: {} } }
  const [check] = await checkCase(example, library(backends[0].make()))
  expect(check.note).toMatch(/^layers\/\w+: expected tolerance\.f(64|32), got none$/)
})

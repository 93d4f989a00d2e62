// The golden families of LoRA, the optimizers and whole models on a backend that cannot be read at once.

import { describe, expect, it } from 'vitest'
import { checkCase, library, passes } from '../../src/conformance/index.ts'
import { familyCases } from '../support/conformance.ts'
import { DeferredBackend } from '../support/deferred.ts'

const FAMILIES = ['layers', 'init', 'merge', 'export', 'optim', 'models']

for (const family of FAMILIES) {
  const cases = await familyCases(family)
  describe(`golden cases of ${family} on a backend that is waited for`, () => {
    it.each(cases.map(example => [example.name, example] as const))('%s', async (_, example) => {
      const checks = await checkCase(example, library(new DeferredBackend()))
      expect(checks.length).toBeGreaterThan(0)
      expect(checks.filter(check => !passes(check))).toEqual([])
    })
  })
}

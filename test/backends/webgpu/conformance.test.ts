// The golden families on the real backend, which is never read at once: what merges and what starts from a
// weight goes by way of the CPU there.

import { describe, expect, it } from 'vitest'
import { type WebGpuBackend, webgpu } from '../../../src/backends/webgpu/index.ts'
import { checkCase, library, passes } from '../../../src/conformance/index.ts'
import { familyCases } from '../../support/conformance.ts'
import { countedGpu, hasDawn } from '../../support/webgpu/local.ts'

const FAMILIES = ['layers', 'init', 'merge', 'export', 'optim', 'models']

let device: Promise<WebGpuBackend> | undefined

async function opened(): Promise<WebGpuBackend> {
  const { gpu } = await countedGpu()
  return webgpu({ gpu })
}

for (const family of FAMILIES) {
  const cases = await familyCases(family)
  describe.runIf(hasDawn())(`golden cases of ${family} on the real backend`, () => {
    it.each(cases.map(example => [example.name, example] as const))('%s', async (_, example) => {
      device ??= opened()
      const checks = await checkCase(example, library(await device))
      expect(checks.length).toBeGreaterThan(0)
      expect(checks.filter(check => !passes(check))).toEqual([])
    })
  })
}

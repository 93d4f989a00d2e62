import { defineConfig, type ViteUserConfig } from 'vitest/config'
import { aliases } from './scripts/aliases.mjs'
import { plantedFault } from './test/mutations/plugin.ts'

// LOWRANK_SLOW chooses the suites that need browsers, other runtimes, or minutes.
const slow = process.env.LOWRANK_SLOW === '1'
const results = process.env.LOWRANK_RESULTS

const config: ViteUserConfig = defineConfig({
  plugins: plantedFault(process.env.LOWRANK_FAULT),
  resolve: {
    alias: aliases,
  },
  test: {
    include: slow ? ['test/**/*.slow.test.ts'] : ['test/**/*.test.ts'],
    exclude: slow ? [] : ['test/**/*.slow.test.ts'],
    testTimeout: slow ? 600_000 : 60_000,
    hookTimeout: slow ? 600_000 : 60_000,
    pool: 'forks',
    execArgv: ['--expose-gc'],
    reporters: results ? ['default', 'json'] : ['default'],
    outputFile: results ? { json: `${results}/${slow ? 'slow' : 'quick'}.json` } : undefined,
  },
})

export default config

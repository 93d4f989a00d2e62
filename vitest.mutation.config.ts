import { mergeConfig, type ViteUserConfig } from 'vitest/config'
import base from './vitest.config.ts'

// What `npm run mutation` runs: the suites whose subject is mutated, without those that start programs
// or measure the process. LOWRANK_MUTATION_TESTS narrows them.
const folders = process.env.LOWRANK_MUTATION_TESTS ?? 'core,linalg,ops,nn,optim,lora,conformance'

const config: ViteUserConfig = mergeConfig(base, {})
config.test = {
  ...config.test,
  // Stryker runs tests in threads, which take no such flags.
  execArgv: [],
  reporters: ['default'],
  include: folders.split(',').map(folder => `test/${folder}/**/*.test.ts`),
  exclude: ['test/**/*.slow.test.ts', 'test/conformance/changed.test.ts'],
}

export default config

import { mergeConfig, type ViteUserConfig } from 'vitest/config'
import base from './vitest.config.ts'

// The tests that `npm run mutation` runs for a folder of src/: its own, and those of others that are
// about the same. LOWRANK_MUTATION_TESTS, paths below test/ with commas between, replaces them.
const tests: Readonly<Record<string, string>> = {
  core: 'core,ops/linear,ops/dropout,ops/gradient_room,lora/checkpoint,lora/active',
  optim: 'optim,conformance/optim,conformance/bounds',
  ops: 'ops,backends/wasm/transformer,conformance/ops,conformance/bounds,conformance/exports,conformance/shapes',
  lora: 'lora,conformance/layers_exports',
}
const folder = process.env.LOWRANK_MUTATE ?? 'optim'
const chosen = process.env.LOWRANK_MUTATION_TESTS ?? tests[folder] ?? folder

const config: ViteUserConfig = mergeConfig(base, {})
config.test = {
  ...config.test,
  // One thread that keeps its modules for all files: to start one per file takes longer than the tests.
  isolate: false,
  // Stryker runs tests in threads, which take no such flags.
  execArgv: [],
  setupFiles: ['test/support/unshrunk.ts'],
  reporters: ['default'],
  include: chosen.split(',').flatMap(path => [`test/${path}/**/*.test.ts`, `test/${path}.test.ts`]),
  exclude: ['test/**/*.slow.test.ts', 'test/conformance/changed.test.ts'],
}

export default config

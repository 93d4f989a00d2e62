// What `npm run mutation` mutates: one folder of src/, named by LOWRANK_MUTATE, with the tests that
// are about it. Each folder keeps its own results in out/mutation/, so that a second run does only
// what changed, and runs of two folders don't disturb each other.
// https://stryker-mutator.io/docs/stryker-js/configuration/

import { folder } from './scripts/mutation/config.mjs'

const config = {
  mutate: [`src/${folder}/**/*.ts`],
  plugins: ['./scripts/mutation/runner.mjs'],
  testRunner: 'in-process',
  testRunnerNodeArgs: ['--expose-gc'],
  coverageAnalysis: 'perTest',
  incremental: true,
  incrementalFile: `out/mutation/${folder}.json`,
  reporters: ['clear-text', 'json', 'progress-append-only'],
  jsonReporter: { fileName: `out/mutation/${folder}-report.json` },
  clearTextReporter: { logTests: false, reportTests: false, allowColor: false },
  tempDirName: `out/mutation/sandbox-${folder}`,
  // The words of messages are for people, and constants of modules cannot be switched at run time.
  mutator: { excludedMutations: ['StringLiteral'] },
  ignoreStatic: true,
  ignorePatterns: ['dist', 'out', 'bench', 'test/runtimes', 'test/webgpu', 'interop', '.ci'],
  concurrency: Number(process.env.LOWRANK_MUTATION_WORKERS ?? 1),
  timeoutMS: 4000,
  dryRunTimeoutMinutes: 20,
}

export default config

import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'
import { plantedFault } from './test/mutations/plugin.ts'

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

// LOWRANK_SLOW chooses the suites that need browsers, other runtimes, or minutes.
const slow = process.env.LOWRANK_SLOW === '1'
const results = process.env.LOWRANK_RESULTS

const config: ViteUserConfig = defineConfig({
  plugins: plantedFault(process.env.LOWRANK_FAULT),
  resolve: {
    alias: [
      { find: /^#kernels$/, replacement: source('./src/backends/wasm/default.ts') },
      { find: /^#kernels\/(.*)$/, replacement: source('./src/backends/wasm/binaries/$1.ts') },
      { find: /^lowrank$/, replacement: source('./src/index.ts') },
      {
        find: /^lowrank\/(reference|wasm|webgpu)$/,
        replacement: source('./src/backends/$1/index.ts'),
      },
      {
        find: /^lowrank\/wasm-relaxed$/,
        replacement: source('./src/backends/wasm_relaxed/index.ts'),
      },
      { find: /^lowrank\/models\/auto$/, replacement: source('./src/models/auto.ts') },
      { find: /^lowrank\/(.*)$/, replacement: source('./src/$1/index.ts') },
    ],
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

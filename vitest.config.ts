import { fileURLToPath } from 'node:url'
import { defineConfig, type ViteUserConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const config: ViteUserConfig = defineConfig({
  resolve: {
    alias: [
      { find: /^#kernels$/, replacement: source('./src/backends/wasm/default.ts') },
      { find: /^#kernels\/(.*)$/, replacement: source('./src/backends/wasm/binaries/$1.ts') },
      { find: /^lowrank$/, replacement: source('./src/index.ts') },
      { find: /^lowrank\/(.*)$/, replacement: source('./src/$1/index.ts') },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/**/*.slow.test.ts'],
    testTimeout: 30_000,
    pool: 'forks',
  },
})

export default config

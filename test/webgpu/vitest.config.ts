// The suites on WebGPU: as everywhere, but the default backend is the device's.

import { fileURLToPath } from 'node:url'
import { defineConfig, mergeConfig, type ViteUserConfig } from 'vitest/config'
import base from '../../vitest.config.ts'

const config: ViteUserConfig = mergeConfig(
  base,
  defineConfig({
    root: fileURLToPath(new URL('../..', import.meta.url)),
    resolve: {
      alias: [
        {
          find: /^#kernels$/,
          replacement: fileURLToPath(new URL('../support/webgpu/default.ts', import.meta.url)),
        },
      ],
    },
  }),
)

export default config

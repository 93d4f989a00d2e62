import { readdirSync } from 'node:fs'
import { defineConfig, type UserConfig } from 'tsdown'

const binaries = readdirSync('src/backends/wasm/binaries').map(
  file => `src/backends/wasm/binaries/${file}`,
)

const shared = {
  format: 'esm',
  target: 'es2022',
  outDir: 'dist',
  sourcemap: true,
  fixedExtension: false,
} as const

// The library keeps its modules apart, so that every entry shares one copy of each. The command line
// is one file with its dependencies inside; it imports the library as any other program would.
const config: UserConfig[] = [
  {
    ...shared,
    entry: [
      'src/index.ts',
      'src/*/index.ts',
      'src/backends/*/index.ts',
      'src/models/auto.ts',
      'src/backends/wasm/default.ts',
      ...binaries,
    ],
    unbundle: true,
    dts: true,
    clean: true,
    platform: 'neutral',
    external: [/^#kernels/, /^node:/],
    noExternal: ['@huggingface/tokenizers'],
  },
]

export default defineConfig(config)

import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
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

const source = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

// The library keeps its modules apart, so that every entry shares one copy of each. The command line
// is a bundle of its own, with its dependencies inside.
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
    deps: { neverBundle: [/^#kernels/, /^node:/], alwaysBundle: ['@huggingface/tokenizers'] },
  },
  {
    ...shared,
    entry: { main: 'src/cli/main.ts' },
    outDir: 'dist/cli',
    dts: false,
    clean: false,
    platform: 'node',
    alias: {
      '#kernels': source('src/backends/wasm/default.ts'),
      ...Object.fromEntries(
        binaries.map(file => [`#kernels/${basename(file, '.ts')}`, source(file)]),
      ),
    },
    deps: { alwaysBundle: [/^(?!node:)/] },
  },
]

const resolved: ReturnType<typeof defineConfig> = defineConfig(config)

export default resolved

import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig, type UserConfig } from 'tsdown'
import { writeWasmFiles } from './scripts/wasm-files.mjs'

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

// npm leaves folders named node_modules out of a package, wherever they are.
const vendored = ({ name }: { name: string }): string =>
  `${name.replace(/^.*node_modules\//, 'vendor/')}.js`

const source = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

// Bundles know nothing of the package-internal imports.
const inlinedKernels: Record<string, string> = {
  '#kernels': source('src/backends/wasm/default.ts'),
  ...Object.fromEntries(binaries.map(file => [`#kernels/${basename(file, '.ts')}`, source(file)])),
}

// The library keeps its modules apart, so that every entry shares one copy of each. The command line
// and the file for browsers are bundles of their own, with what they depend on inside.
const config: UserConfig[] = [
  {
    ...shared,
    entry: [
      'src/index.ts',
      'src/browser.ts',
      'src/*/index.ts',
      '!src/conformance/index.ts',
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
    outputOptions: { entryFileNames: vendored },
    copy: [
      {
        from: 'node_modules/@huggingface/tokenizers/LICENSE',
        to: 'dist/vendor/@huggingface/tokenizers',
      },
    ],
    hooks: { 'build:done': () => writeWasmFiles(new URL('dist/', import.meta.url)) },
  },
  {
    ...shared,
    entry: { 'lowrank.browser': 'src/browser.ts' },
    dts: false,
    clean: false,
    minify: true,
    // One file, whatever is imported late: a page may have it from anywhere.
    outputOptions: { codeSplitting: false },
    platform: 'browser',
    alias: inlinedKernels,
    deps: { alwaysBundle: [/.*/] },
  },
  {
    ...shared,
    entry: { main: 'src/cli/main.ts' },
    outDir: 'dist/cli',
    dts: false,
    clean: false,
    minify: true,
    sourcemap: false,
    platform: 'node',
    alias: inlinedKernels,
    deps: { alwaysBundle: [/^(?!node:)/] },
  },
]

const resolved: ReturnType<typeof defineConfig> = defineConfig(config)

export default resolved

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

const source = (file: string): string => fileURLToPath(new URL(file, import.meta.url))

// Bundles know nothing of the package-internal imports.
const inlinedKernels: Record<string, string> = {
  '#kernels': source('src/backends/wasm/default.ts'),
  ...Object.fromEntries(binaries.map(file => [`#kernels/${basename(file, '.ts')}`, source(file)])),
}

const library: UserConfig = {
  ...shared,
  entry: [
    'src/index.ts',
    'src/browser.ts',
    'src/*/index.ts',
    '!src/conformance/index.ts',
    'src/backends/*/index.ts',
    'src/models/auto.ts',
    'src/backends/wasm/default.ts',
    'src/backends/wasm/families.ts',
  ],
  platform: 'neutral',
  deps: { neverBundle: [/^#kernels/, /^node:/], alwaysBundle: ['@huggingface/tokenizers'] },
}

// Modules that every program loads are few files, because each costs an engine a search and a page a
// request: the WASM backend with the loops that stand in for it, which `#kernels` leads to,
// and what `lowrank` exports. Bundlers take single functions out of them: all that is done
// while they are loaded is marked pure. The rest follows the entries that need it; so does the state of
// optimizers, because what saves it is fetched on demand. What decodes binaries is apart, so that the binaries
// come before all else in a bundle: gzip looks back 32 KB, and does not see past them.
const groups = [
  {
    name: 'backend',
    test: /src\/backends\/(reference|wasm\/(backend|default|heap)\.ts)/,
    priority: 3,
  },
  {
    name: 'lowrank',
    test: /src\/((core|ops|nn|optim(?!\/(index|state)))\/|lora\/attach\.ts|train\/train_step\.ts)/,
    priority: 2,
  },
  // npm leaves folders named node_modules out of a package, wherever they are.
  { name: 'vendor/@huggingface/tokenizers/tokenizers', test: /node_modules/, priority: 1 },
]

const chunkName = ({ name }: { name: string }): string =>
  name.startsWith('vendor/') ? `${name}.js` : `shared/${name}.js`

// The library is as many files as programs need, so that every entry shares one copy of each; its types are
// a file for each module. The command line and the file for browsers are bundles of their own, with
// what they depend on inside.
const config: UserConfig[] = [
  {
    ...library,
    unbundle: true,
    dts: { emitDtsOnly: true },
    clean: true,
  },
  {
    ...library,
    dts: false,
    clean: false,
    outputOptions: { chunkFileNames: chunkName, codeSplitting: { groups } },
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

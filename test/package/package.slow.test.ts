// The package as npm would publish it: what is in it, what its entries and types are to publint, attw
// and two compilers, what no file may contain, and what bundlers make of it. Needs a build and
// `npm ci --prefix test/runtimes`.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { installedProject, type Project, tool } from '../runtimes/project.ts'

const present = existsSync(tool('publint'))
if (!present) {
  console.warn('skipped: the checks of the package (npm ci --prefix test/runtimes)')
}

/** Everything that may be in the package. */
const ALLOWED = [
  /^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/,
  /^dist\/([a-z_]+\/)*[A-Za-z0-9_.-]+\.(js|js\.map|d\.ts|d\.ts\.map)$/,
  /^dist\/backends\/wasm\/(workerd|edge-light)\/[a-z_]+\.js$/,
  /^dist\/wasm\/[a-z_]+\.wasm$/,
  /^dist\/vendor\/@huggingface\/tokenizers\/(LICENSE|tokenizers\.js(\.map)?)$/,
]

/** Folders of dist/ that only Node loads. */
const NODE_ONLY = /^dist\/(node|cli)\//

const PROGRAM = `
import { AdamW, attach, Linear, mseLoss, tensor, trainStep } from 'lowrank'
const model = attach(new Linear(8, 8), { r: 2 })
const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
const x = tensor(new Float32Array(8).fill(1), [1, 8])
console.log('loss', await trainStep(optimizer, () => mseLoss(model.forward(x), x)))
`

const TYPED = `
import { attach, LowrankError, Linear, matmul, type Tensor, tensor } from 'lowrank'
import { lowrank } from './names.js'
import { saveAdapter } from 'lowrank/lora'
import { readLlamaConfig } from 'lowrank/models'
import { loadModel } from 'lowrank/models/auto'
import { finetune, type FinetuneOptions } from 'lowrank/train'
import { memoryDirectory } from 'lowrank/io'
import { reference } from 'lowrank/reference'
import { wasm } from 'lowrank/wasm'
import { singularValues } from 'lowrank/analysis'
import { loadTokenizer } from 'lowrank/tokenizer'
import * as browser from 'lowrank/browser'

const y: Tensor<readonly [2, 3]> = matmul(tensor([1, 2], [2, 1]), tensor([1, 2, 3], [1, 3]))
const model = attach(new Linear(4, 4), { r: 2 })
await saveAdapter(model, memoryDirectory())
const code: string = new LowrankError('shape', 'no').code
export { browser, code, finetune, loadModel, loadTokenizer, lowrank, readLlamaConfig, reference, singularValues, wasm, y }
export type { FinetuneOptions }
`

describe.skipIf(!present)('the package', () => {
  let project: Project
  let files: string[]
  const text = (file: string): string =>
    readFileSync(join(project.folder, 'node_modules/lowrank', file), 'utf8')

  beforeAll(() => {
    project = installedProject()
    files = readdirSync(join(project.folder, 'node_modules/lowrank'), {
      recursive: true,
      withFileTypes: true,
    })
      .filter(entry => entry.isFile())
      .map(entry => join(entry.parentPath, entry.name).split('node_modules/lowrank/')[1])
  })

  afterAll(() => project?.remove())

  it('contains what is allowed and no more', () => {
    expect(files.filter(file => !ALLOWED.some(pattern => pattern.test(file)))).toEqual([])
    for (const needed of ['dist/index.js', 'dist/index.d.ts', 'dist/wasm/core.wasm', 'LICENSE']) {
      expect(files).toContain(needed)
    }
  })

  it('is clean to publint', () => {
    const out = execFileSync(tool('.bin/publint'), ['run', project.tarball, '--strict'])
    expect(String(out)).toMatch(/All good/)
  })

  it('is clean to attw', () => {
    const args = [
      project.tarball,
      '--profile',
      'esm-only',
      '--no-emoji',
      '--format',
      'table-flipped',
    ]
    execFileSync(tool('.bin/attw'), args, { stdio: 'pipe' })
  })

  it('asks for Node nowhere that a browser looks', () => {
    const scripts = files.filter(file => file.endsWith('.js') && !NODE_ONLY.test(file))
    const wrong = scripts.filter(file => /(from|import\()\s*["']node:/.test(text(file)))
    expect(wrong).toEqual([])
  })

  it('has no eval and waits for nothing while it is imported', () => {
    const scripts = files.filter(file => file.endsWith('.js') && !NODE_ONLY.test(file))
    const evals = /\beval\(|new Function\(/
    expect(scripts.filter(file => evals.test(text(file)))).toEqual([])
    expect(scripts.filter(file => /^(await|for await)\b/m.test(text(file)))).toEqual([])
  })

  it.each([
    { compiler: 'typescript5', module: 'nodenext', resolution: 'nodenext' },
    { compiler: 'typescript5', module: 'esnext', resolution: 'bundler' },
    { compiler: 'typescript7', module: 'nodenext', resolution: 'nodenext' },
    { compiler: 'typescript7', module: 'esnext', resolution: 'bundler' },
  ])('has types for $compiler with $resolution', ({ compiler, module, resolution }) => {
    writeFileSync(join(project.folder, 'names.ts'), `export * as lowrank from 'lowrank'\n`)
    writeFileSync(join(project.folder, 'typed.ts'), TYPED)
    const settings = `--strict --noEmit --target es2022 --lib es2023,dom --skipLibCheck false`
    const args = [...settings.split(' '), '--module', module, '--moduleResolution', resolution]
    const tsc = tool(`${compiler}/bin/tsc`)
    const run = (): Buffer =>
      execFileSync(process.execPath, [tsc, ...args, 'typed.ts'], { cwd: project.folder })
    expect(String(run())).toBe('')
  })

  describe('bundled', () => {
    const bundles: Readonly<Record<string, () => string>> = {
      esbuild: () => {
        const args = [
          'program.mjs',
          '--bundle',
          '--format=esm',
          '--minify',
          '--outfile=out/esbuild.mjs',
        ]
        execFileSync(tool('.bin/esbuild'), args, { cwd: project.folder, stdio: 'pipe' })
        return 'out/esbuild.mjs'
      },
      Vite: () => {
        const entry = `lib: { entry: 'program.mjs', formats: ['es'], fileName: () => 'vite.mjs' }`
        const config = `export default { build: { outDir: 'out', emptyOutDir: false, minify: true, ${entry} } }`
        writeFileSync(join(project.folder, 'vite.config.mjs'), config)
        const args = ['build', '--logLevel', 'error']
        execFileSync(tool('.bin/vite'), args, { cwd: project.folder, stdio: 'pipe' })
        return 'out/vite.mjs'
      },
      webpack: () => {
        writeFileSync(join(project.folder, 'webpack.mjs'), WEBPACK(tool('webpack/lib/index.js')))
        execFileSync(process.execPath, ['webpack.mjs'], { cwd: project.folder, stdio: 'pipe' })
        return 'out/webpack.mjs'
      },
    }

    it.each(Object.keys(bundles))('by %s, it trains, and stays small', name => {
      mkdirSync(join(project.folder, 'out'), { recursive: true })
      writeFileSync(join(project.folder, 'program.mjs'), PROGRAM)
      const file = join(project.folder, bundles[name]())
      const size = gzipSync(readFileSync(file), { level: 9 }).length / 1000
      console.log(`LoRA on a linear layer, by ${name}: ${size.toFixed(1)} KB gzipped`)
      expect(String(execFileSync(process.execPath, [file]))).toMatch(/^loss 0\.\d+|^loss \d/)
      // A bundler's own runtime comes on top of what bench/size counts.
      expect(size).toBeLessThan(34)
    })
  })
})

const WEBPACK = (path: string): string => `
import { createRequire } from 'node:module'
const webpack = createRequire(import.meta.url)('${path}')
webpack({
  mode: 'production', target: 'web', entry: './program.mjs', experiments: { outputModule: true },
  output: { path: process.cwd() + '/out', filename: 'webpack.mjs', module: true },
}, (error, stats) => {
  if (error || stats.hasErrors()) {
    console.error(error ?? stats.toString())
    process.exitCode = 1
  }
})
`

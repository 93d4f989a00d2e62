// Where tests find the package by its public names: in its sources, with the kernels inlined.

import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const source = (find, path) => ({ find, replacement: `${root}src/${path}.ts` })

export const aliases = [
  source(/^#kernels$/, 'backends/wasm/default'),
  source(/^#kernels\/(.*)$/, 'backends/wasm/binaries/$1'),
  source(/^lowrank$/, 'index'),
  source(/^lowrank\/(reference|wasm|webgpu)$/, 'backends/$1/index'),
  source(/^lowrank\/wasm-relaxed$/, 'backends/wasm_relaxed/index'),
  source(/^lowrank\/models\/auto$/, 'models/auto'),
  source(/^lowrank\/(.*)$/, '$1/index'),
]

// Writes the families of this folder from their definitions, in float64, apart from what the library
// computes with. The same numbers on every run; ln, cos and sin of the engine reach only `random/normal`.
//
//   node conformance/make.mjs [FOLDER]

import { fileURLToPath } from 'node:url'
import { makeExport } from './make/export.mjs'
import { makeInit } from './make/init.mjs'
import { makeLayers } from './make/layers.mjs'
import { makeMerge } from './make/merge.mjs'
import { makeOptim } from './make/optim.mjs'
import { makeRandom } from './make/random.mjs'

const folder = process.argv[2] ?? fileURLToPath(new URL('.', import.meta.url))

for (const make of [makeExport, makeInit, makeLayers, makeMerge, makeOptim, makeRandom]) {
  make(folder)
}

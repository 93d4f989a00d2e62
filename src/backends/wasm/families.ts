// The inlined binaries in one file, which is what `#kernels/<family>` leads to where binaries are compiled at run
// time: an engine reads one file, and bundlers take out of it what is imported.

export { adafactor } from './binaries/adafactor.ts'
export { arithmetic } from './binaries/arithmetic.ts'
export { conv } from './binaries/conv.ts'
export { core } from './binaries/core.ts'
export { elementwise } from './binaries/elementwise.ts'
export { indexing } from './binaries/indexing.ts'
export { layer_norm } from './binaries/layer_norm.ts'
export { losses } from './binaries/losses.ts'
export { reductions } from './binaries/reductions.ts'
export { transformer } from './binaries/transformer.ts'

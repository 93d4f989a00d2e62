// What a mutation run mutates, one folder of src/ named by LOWRANK_MUTATE, and the tests that are about it:
// its own, and those of others that are about the same. LOWRANK_MUTATION_TESTS, paths below test/ with
// commas between, replaces them.

const TESTS = {
  core: 'core,ops/linear,ops/dropout,ops/gradient_room,lora/checkpoint,lora/active',
  optim: 'optim,conformance/optim,conformance/bounds',
  ops: 'ops,backends/wasm/transformer,conformance/ops,conformance/bounds,conformance/exports,conformance/shapes',
  lora: 'lora,conformance/layers_exports',
}

export const folder = process.env.LOWRANK_MUTATE ?? 'optim'

const chosen = process.env.LOWRANK_MUTATION_TESTS ?? TESTS[folder] ?? folder

export const include = chosen
  .split(',')
  .flatMap(path => [`test/${path}/**/*.test.ts`, `test/${path}.test.ts`])

export const exclude = ['**/*.slow.test.ts']

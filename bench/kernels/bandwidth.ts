// Kernels that move 1 M elements, beside a plain copy of the same bytes: what share of its bytes per second
// each reaches. Those that compute more than they move are bound by their arithmetic instead: for them, the time
// that the same kernel takes where all operands are in the first cache level, as a share of the time at 1 M.
//   npx tsx bench/kernels/bandwidth.ts [--json FILE]
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { binary as arithmetic } from '../../src/backends/wasm/binaries/arithmetic.ts'
import { binary as core } from '../../src/backends/wasm/binaries/core.ts'
import { binary as elementwise } from '../../src/backends/wasm/binaries/elementwise.ts'
import { binary as layerNorm } from '../../src/backends/wasm/binaries/layer_norm.ts'
import { binary as reductions } from '../../src/backends/wasm/binaries/reductions.ts'
import { binary as transformer } from '../../src/backends/wasm/binaries/transformer.ts'
import { Random } from '../../src/core/rng.ts'
import { KernelInstance } from '../../test/support/instance.ts'
import { timeAll } from './samples.ts'

const COUNT = 1048576
const ROWS = 1024
const COLS = COUNT / ROWS

const instance = new KernelInstance(core.module(), 64)
const kernels = {
  ...instance.kernels,
  ...instance.exportsOf(arithmetic.module()),
  ...instance.exportsOf(elementwise.module()),
  ...instance.exportsOf(layerNorm.module()),
  ...instance.exportsOf(reductions.module()),
  ...instance.exportsOf(transformer.module()),
}

function filled(count: number, seed: string): number {
  const address = instance.reserve(4 * count)
  const random = new Random(1, seed)
  const view = instance.f32(address, count)
  for (let i = 0; i < count; i++) {
    view[i] = random.uniformBetween(-1, 1)
  }
  return address
}

const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(seed => filled(COUNT, seed))
const weight = filled(COLS, 'weight')
const [inverse, mean, clocks, control] = [4 * ROWS, 4 * ROWS, 64, 64].map(bytes =>
  instance.reserve(bytes),
)
instance.f32(clocks, 16).fill(1)
// A factor of 1, and nothing that was not finite.
instance.f32(control, 16).set([0, 0, 1, 1, 0])
// Averages of squares are not negative.
instance.f32(d, COUNT).set(instance.f32(d, COUNT).map(Math.abs))

interface Contender {
  readonly name: string
  readonly run: () => void
  /** Bytes read and written, in units of 4 MB. */
  readonly arrays: number
}

/** The kernels on rows of COLS elements. */
function contenders(rows: number): Contender[] {
  const n = rows * COLS
  const flat = (x: number): number[] => [x, 0, n, 1]
  const adam = [clocks, 0, control, 1e-9, 0.9, 0.999, 1e-8, 0.1, 1, 0]
  return [
    { name: 'copy', arrays: 2, run: () => kernels.copy(a, b, n) },
    { name: 'neg', arrays: 2, run: () => kernels.neg(a, b, n) },
    { name: 'relu', arrays: 2, run: () => kernels.relu(a, b, n) },
    { name: 'add', arrays: 3, run: () => kernels.add(...flat(a), ...flat(b), c, 0, 1, n) },
    { name: 'mul', arrays: 3, run: () => kernels.mul(...flat(a), ...flat(b), c, 0, 1, n) },
    { name: 'silu', arrays: 2, run: () => kernels.silu(a, b, n) },
    { name: 'gelu_tanh', arrays: 2, run: () => kernels.gelu_tanh(a, b, n) },
    {
      name: 'swiglu',
      arrays: 3,
      run: () => kernels.swiglu(a, 0, COLS, b, 0, COLS, c, rows, COLS),
    },
    {
      name: 'rms_norm',
      arrays: 2,
      run: () => kernels.rms_norm(a, weight, 1, b, inverse, rows, COLS, 1e-5, 0),
    },
    {
      name: 'layer_norm',
      arrays: 2,
      run: () => kernels.layer_norm(a, weight, 1, weight, 1, b, mean, inverse, rows, COLS, 1e-5),
    },
    { name: 'softmax', arrays: 2, run: () => kernels.softmax(a, b, rows, COLS) },
    { name: 'AdamW', arrays: 7, run: () => kernels.adam_update(a, b, c, d, n, ...adam) },
  ]
}

const large = contenders(ROWS)
const runs = [...large, ...contenders(1)].map(({ run }) => run)
const timings = timeAll(runs, 15)
const speeds = large.map(({ arrays }, i) => (4 * COUNT * arrays) / timings[i].median / 1e9)
const rows = large.map(({ name }, i) => {
  const ofCopy = speeds[i] / speeds[0]
  const ofCompute = (timings[large.length + i].median * ROWS) / timings[i].median
  const bound = ofCompute > ofCopy ? 'its arithmetic' : 'a copy'
  const share = Math.max(ofCopy, ofCompute)
  return { name, microseconds: timings[i].median * 1e6, gigabytes: speeds[i], ofCopy, share, bound }
})
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`
for (const { name, microseconds, gigabytes, ofCopy, share, bound } of rows) {
  const columns = [`${microseconds.toFixed(0)} µs`, `${gigabytes.toFixed(1)} GB/s`, percent(ofCopy)]
  const limit = bound === 'a copy' ? '' : `; bound by arithmetic, ${percent(share)} of it`
  console.log(name.padEnd(12), ...columns.map(text => text.padStart(11)), `of a copy${limit}`)
}
const { values } = parseArgs({ options: { json: { type: 'string' } } })
if (values.json) {
  writeFileSync(values.json, `${JSON.stringify(rows, null, 1)}\n`)
}

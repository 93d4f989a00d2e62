// The matmul kernels: the ladder from three loops to the final tile, the shapes of LoRA training and
// of generation, each checked before it is timed, with GFLOP/s and the share of what the CPU can do
// (a probe of 128-bit multiplications and additions in the same run).
//   npx tsx bench/kernels/matmul.ts [ladder|shapes] [--json FILE]
// docs/kernels.md explains the rungs.
import { writeFileSync } from 'node:fs'
import { binary } from '../../src/backends/wasm/binaries/core.ts'
import { Random } from '../../src/core/rng.ts'
import { type Exports, KernelInstance } from '../../test/support/instance.ts'
import { compile } from './compile.ts'
import { type Timing, timeAll } from './samples.ts'

type Variant = 'nn' | 'nt' | 'tn'

interface Shape {
  readonly variant: Variant
  readonly M: number
  readonly K: number
  readonly N: number
  /** f32, bf16 or f16, in rows or in panels. */
  readonly b: 'f32' | 'f32 panels' | 'bf16 panels' | 'f16 panels'
}

interface Row {
  readonly name: string
  readonly milliseconds: number
  readonly best: number
  readonly gflops: number
  readonly share: number
}

const FORMATS = { f32: 0, 'f32 panels': 4, 'f16 panels': 5, 'bf16 panels': 6 }
const LARGEST = 2048 * 2048

const instance = new KernelInstance(binary.module(), 96)
const { kernels } = instance
const ceiling = instance.exportsOf(await compile('ceiling'))
const a = instance.reserve(4 * LARGEST)
const b = instance.reserve(4 * LARGEST)
const panels = instance.reserve(4 * LARGEST)
const c = instance.reserve(4 * LARGEST)
const scratch = instance.reserve(4 * kernels.matmul_scratch())

function fill(address: number, count: number, seed: string): Float32Array {
  const random = new Random(7, seed)
  const view = instance.f32(address, count)
  for (let i = 0; i < count; i++) {
    view[i] = 2 * random.uniform() - 1
  }
  return view
}

const STEPS = 20_000
const probe = (): void => {
  ceiling.multiply_add(STEPS, 1)
}

/** Sum of a·b in f32 with one accumulator, k ascending. */
function dot(shape: Shape, x: Float32Array, y: Float32Array, m: number, n: number): number {
  const { variant, M, K, N } = shape
  let sum = 0
  for (let k = 0; k < K; k++) {
    const left = variant === 'tn' ? x[k * M + m] : x[m * K + k]
    const right = variant === 'nt' ? y[n * K + k] : y[k * N + n]
    sum = Math.fround(sum + Math.fround(left * right))
  }
  return sum
}

/** Throws unless the bits of a sample of elements are the promised ones. */
function check(name: string, shape: Shape, tolerance = 0): void {
  const { M, K, N } = shape
  const x = instance.f32(a, M * K)
  const y = instance.f32(b, N * K)
  const product = instance.f32(c, M * N)
  const random = new Random(3, name)
  for (let i = 0; i < 500; i++) {
    const [m, n] = [random.integer(M), random.integer(N)]
    const want = dot(shape, x, y, m, n)
    if (!(Math.abs(product[m * N + n] - want) <= tolerance)) {
      throw new Error(`${name}: element ${m}, ${n} is ${product[m * N + n]}, not ${want}`)
    }
  }
}

/** Operands of a shape in memory; a half B is rounded, so that the f32 copy holds the same values. */
function prepare({ variant, M, K, N, b: stored }: Shape): void {
  fill(a, M * K, 'a')
  fill(b, N * K, 'b')
  const [rows, width] = variant === 'nt' ? [N, K] : [K, N]
  const dtype = FORMATS[stored] & 3
  if (dtype !== 0) {
    kernels.narrow(b, c, dtype, N * K)
    kernels.widen(c, dtype, b, N * K)
  }
  if (stored !== 'f32') {
    kernels.pack_panels(dtype === 0 ? b : c, dtype, panels, rows, width)
  }
}

function product({ variant, M, K, N, b: stored }: Shape): () => void {
  const call = kernels[`matmul_${variant}`]
  const right = stored === 'f32' ? b : panels
  const [aStride, bStride] = [variant === 'tn' ? M : K, variant === 'nt' ? K : N]
  const format = FORMATS[stored]
  return () => {
    call(a, 0, aStride, right, 0, bStride, format, c, 0, N, M, N, K, 1, 0, scratch)
  }
}

function row(name: string, flops: number, timing: Timing, bound: number): Row {
  const gflops = flops / timing.median / 1e9
  const best = timing.best * 1e3
  return { name, milliseconds: timing.median * 1e3, best, gflops, share: gflops / bound }
}

function print({ name, milliseconds, best, gflops, share }: Row): void {
  const time = `${milliseconds.toFixed(4).padStart(9)} ms (best ${best.toFixed(4).padStart(9)})`
  const percent = `${(100 * share).toFixed(0).padStart(4)} %`
  console.log(`${name.padEnd(34)} ${time} ${gflops.toFixed(1).padStart(7)} GFLOP/s ${percent}`)
}

/** Times named contenders beside the probe; the share refers to the probe's median. */
function measure(contenders: readonly [string, () => void, number][], rounds?: number): Row[] {
  const [probed, ...timings] = timeAll([probe, ...contenders.map(entry => entry[1])], rounds)
  const bound = (56 * STEPS) / probed.median / 1e9
  return timings.map((timing, i) => row(contenders[i][0], contenders[i][2], timing, bound))
}

const RUNGS: readonly [string, string, number][] = [
  ['scalar', 'three loops', 0],
  ['unpacked', 'lanes across N, B gathered', 0],
  ['lanes_across_k', 'lanes across K (other bits)', 1e-3],
  ['tile_1x8', 'panels, tile 1 x 8', 0],
  ['tile_2x8', 'tile 2 x 8', 0],
  ['tile_6x8', 'tile 6 x 8 (spills)', 0],
  ['tile_5x8_ascending', 'tile 5 x 8, rows ascending', 0],
  ['tile_5x8', 'tile 5 x 8, rows descending', 0],
  ['tile_4x8', 'tile 4 x 8', 0],
]

/** The ladder at one size, on panels packed beforehand from the fourth rung on. */
function ladder(rungs: Exports, size: number): Row[] {
  const shape: Shape = { variant: 'nt', M: size, K: size, N: size, b: 'f32 panels' }
  prepare(shape)
  const flops = 2 * size ** 3
  const contenders = RUNGS.map(([name, label, tolerance]): [string, () => void, number] => {
    const right = name.startsWith('tile') ? panels : b
    const run = (): void => {
      rungs[name](a, right, c, size, size, size)
    }
    run()
    check(name, shape, tolerance)
    return [`${size}: ${label}`, run, flops]
  })
  const final = product(shape)
  final()
  check('final', shape)
  return measure([...contenders, [`${size}: blocks, strips of A (final)`, final, flops]], 9)
}

function shapes(): Shape[] {
  const list: Shape[] = []
  const add = (variant: Variant, M: number, K: number, N: number, b: Shape['b'] = 'f32'): void => {
    list.push({ variant, M, K, N, b })
  }
  for (const size of [64, 128, 256, 512, 1024]) {
    add('nt', size, size, size)
    add('nt', size, size, size, 'f32 panels')
    add('nn', size, size, size)
    add('nn', size, size, size, 'f32 panels')
    add('tn', size, size, size)
  }
  for (const [width, rank] of [
    [768, 8],
    [2048, 16],
  ]) {
    add('nt', 256, width, rank)
    add('nt', 256, rank, width)
    add('nn', 256, width, rank)
    add('nn', 256, rank, width)
    add('tn', rank, 256, width)
    add('tn', width, 256, rank)
    for (const M of [1, 4, 8, 16, 32, 256]) {
      add('nt', M, width, width)
      add('nt', M, width, width, 'f32 panels')
      add('nt', M, width, width, 'bf16 panels')
      add('nt', M, width, width, 'f16 panels')
    }
    add('nn', 256, width, width, 'bf16 panels')
  }
  return list
}

function measureShape(shape: Shape): Row {
  const { variant, M, K, N, b: stored } = shape
  const name = `${variant} ${M}x${K}x${N} ${stored}`
  prepare(shape)
  const run = product(shape)
  run()
  check(name, shape)
  const flops = 2 * M * K * N
  return measure([[name, run, flops]], flops > 5e8 ? 7 : 15)[0]
}

/** What the CPU does at best: the probe, and reading memory of three sizes. */
function reportCeiling(): void {
  // Pages that were never written are one page of zeros, always in the cache.
  instance.f32(a, 4 * LARGEST).fill(1)
  const sizes = [16_384, 1_048_576, 64 * 1_048_576]
  const readers = sizes.map(bytes => () => {
    ceiling.read(a, bytes)
  })
  timeAll([probe, ...readers], 3)
  const [probed, ...reads] = timeAll([probe, ...readers])
  const gflops = (56 * STEPS) / probed.median / 1e9
  console.log(`ceiling: ${gflops.toFixed(1)} GFLOP/s of 128-bit multiplications and additions`)
  reads.forEach(({ median }, i) => {
    const size = `${sizes[i] / 1024} KiB`
    console.log(`         reads ${size} at ${(sizes[i] / median / 1e9).toFixed(1)} GB/s`)
  })
}

const only = process.argv.slice(2).find(word => word === 'ladder' || word === 'shapes')
const file = process.argv.indexOf('--json')
const rows: Row[] = []

function report(measured: readonly Row[]): void {
  measured.forEach(print)
  rows.push(...measured)
}

reportCeiling()
if (only !== 'shapes') {
  const rungs = instance.exportsOf(await compile('matmul'))
  report(ladder(rungs, 240))
  report(ladder(rungs, 480))
}
if (only !== 'ladder') {
  shapes().forEach(shape => {
    report([measureShape(shape)])
  })
}
if (file > 0) {
  writeFileSync(process.argv[file + 1], `${JSON.stringify(rows, null, 2)}\n`)
}

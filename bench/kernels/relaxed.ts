// What relaxed SIMD gains: products of the default binary and of the relaxed one, in turn, on the engine that
// runs this: node bench/kernels/relaxed.ts (24 or newer), or npx tsx with
// NODE_OPTIONS=--experimental-wasm-relaxed-simd on Node 20.
import { binary as plain } from '../../src/backends/wasm/binaries/core.ts'
import { binary as relaxed } from '../../src/backends/wasm_relaxed/binaries/core.ts'
import { Random } from '../../src/core/rng.ts'
import { KernelInstance } from '../../test/support/instance.ts'
import { timeAll } from './samples.ts'

const LARGEST = 2048 * 2048
const instance = new KernelInstance(plain.module(), 80)
const builds = { plain: instance.kernels, relaxed: instance.exportsOf(relaxed.module()) }
const [a, b, c, panels] = [1, 2, 3, 4].map(() => instance.reserve(4 * LARGEST))
const scratch = instance.reserve(4 * instance.kernels.matmul_scratch())
const random = new Random(1, 'relaxed')
for (const address of [a, b]) {
  const view = instance.f32(address, LARGEST)
  for (let i = 0; i < LARGEST; i++) {
    view[i] = random.uniformBetween(-1, 1)
  }
}

const PANELS = 4
console.log(`V8 ${process.versions.v8}, Node ${process.versions.node}`)
for (const [M, K, N] of [
  [1, 2048, 2048],
  [32, 768, 768],
  [256, 768, 8],
  [256, 8, 768],
  [256, 256, 256],
  [512, 512, 512],
  [256, 2048, 2048],
]) {
  instance.kernels.pack_panels(b, 0, panels, N, K)
  const contenders = [builds.plain, builds.relaxed].map(({ matmul_nt }) => () => {
    matmul_nt(a, 0, K, panels, 0, K, PANELS, c, 0, N, M, N, K, 1, 0, scratch)
  })
  const speeds = timeAll(contenders, 15).map(({ median }) => (2 * M * K * N) / median / 1e9)
  const [before, after] = speeds.map(speed => speed.toFixed(1).padStart(6))
  const gain = (speeds[1] / speeds[0]).toFixed(2)
  console.log(`${`${M}x${K}x${N}`.padEnd(14)} ${before} → ${after} GFLOP/s, ${gain} x`)
}

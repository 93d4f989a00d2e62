// Attention forward and backward, in billions of multiplications and additions a second, beside the
// loops that a program without a library would write and as a share of what the product kernel does
// in the same run: npx tsx bench/kernels/attention.ts
// What made the difference (512 tokens, 9 heads of 64 over 3, causal; Xeon, V8 of Node 20):
//   tiles of 10, 20, 40, 80, 160 query rows   28, 28, 28, 26, 23 forward, 30, 31, 33, 30, 27 backward:
//                                             larger ones compute more of what the diagonal hides
//   the heads of a group as rows of one product where there is one query: 0.20 to 0.18 ms after 1023
//                                             tokens; the rest is packing, twice the reading
import { Bench } from 'tinybench'
import { binary as core } from '../../src/backends/wasm/binaries/core.ts'
import { binary } from '../../src/backends/wasm/binaries/transformer.ts'
import { Random } from '../../src/core/rng.ts'
import { KernelInstance } from '../../test/support/instance.ts'

interface Shape {
  readonly name: string
  readonly Tq: number
  readonly Tk: number
  readonly causal: number
}

const [H, group, D] = [9, 3, 64]
const shapes: readonly Shape[] = [
  { name: '128 tokens', Tq: 128, Tk: 128, causal: 1 },
  { name: '512 tokens', Tq: 512, Tk: 512, causal: 1 },
  { name: '512, all see all', Tq: 512, Tk: 512, causal: 0 },
  { name: 'one after 1023', Tq: 1, Tk: 1024, causal: 1 },
]

const random = new Random(1, 'attention bench')

function filled(instance: KernelInstance, count: number): number {
  const address = instance.reserve(4 * count)
  const view = instance.f32(address, count)
  view.set(view.map(() => random.uniformBetween(-1, 1)))
  return address
}

/** y = softmax(scale q kᵀ) v with a matrix of scores per row, head by head. */
function plainForward(q: Float32Array, k: Float32Array, v: Float32Array, shape: Shape): void {
  const { Tq, Tk, causal } = shape
  const [qRow, kRow, scale] = [H * D, (H / group) * D, 1 / Math.sqrt(D)]
  const y = new Float32Array(q.length)
  const p = new Float32Array(Tk)
  for (let h = 0; h < H; h++) {
    const shared = Math.floor(h / group) * D
    for (let t = 0; t < Tq; t++) {
      const end = causal ? Tk - Tq + t + 1 : Tk
      let [peak, sum] = [Number.NEGATIVE_INFINITY, 0]
      for (let j = 0; j < end; j++) {
        let score = 0
        for (let d = 0; d < D; d++) {
          score += q[t * qRow + h * D + d] * k[j * kRow + shared + d]
        }
        p[j] = score * scale
        peak = Math.max(peak, p[j])
      }
      for (let j = 0; j < end; j++) {
        p[j] = Math.exp(p[j] - peak)
        sum += p[j]
      }
      for (let j = 0; j < end; j++) {
        for (let d = 0; d < D; d++) {
          y[t * qRow + h * D + d] += (p[j] / sum) * v[j * kRow + shared + d]
        }
      }
    }
  }
}

async function milliseconds(...runs: (() => void)[]): Promise<number[]> {
  const bench = new Bench({ time: 300, iterations: 5, warmupTime: 50, warmupIterations: 1 })
  runs.forEach((run, i) => {
    bench.add(String(i), run)
  })
  await bench.run()
  return bench.tasks.map(({ result }) => ('latency' in result ? result.latency.min : Number.NaN))
}

/** What the product kernel reaches, 512 × 512 × 512. */
async function productRate(): Promise<number> {
  const instance = new KernelInstance(core.module(), 8)
  const { matmul_nt, matmul_scratch } = instance.kernels
  const n = 512
  const [a, b, c] = [filled(instance, n * n), filled(instance, n * n), filled(instance, n * n)]
  const scratch = instance.reserve(4 * matmul_scratch())
  const [time] = await milliseconds(() => {
    matmul_nt(a, 0, n, b, 0, n, 0, c, 0, n, n, n, n, 1, 0, scratch)
  })
  return (2 * n ** 3) / time / 1e6
}

const most = await productRate()
console.log(`product kernel: ${most.toFixed(1)} GFLOP/s`)
for (const shape of shapes) {
  const { name, Tq, Tk, causal } = shape
  const instance = new KernelInstance(binary.module(), 24)
  const { kernels } = instance
  const [qCount, kCount] = [Tq * H * D, (Tk * H * D) / group]
  const [q, y, dy, dq] = [0, 0, 0, 0].map(() => filled(instance, qCount))
  const [k, v, dk, dv] = [0, 0, 0, 0].map(() => filled(instance, kCount))
  const lse = filled(instance, H * Tq)
  const room = Math.max(
    kernels.attention_scratch(Tk, D, D),
    kernels.attention_backward_scratch(Tk, D, D),
  )
  const scratch = instance.reserve(4 * room)
  const [query, key] = [
    [0, qCount, D, H * D],
    [0, kCount, D, (H * D) / group],
  ]
  const operands = [q, ...query, k, ...key, v, ...key, q, 0, 0, 0, 0, 0]
  const settings = [1, H, group, Tq, Tk, D, D, 1 / 8, 0, causal, 0, Tk - Tq]
  const gradients = [dq, 1, dk, 1, dv, 1, q, 0]
  const [forward, backward, plain] = await milliseconds(
    () => kernels.attention(...operands, y, ...query, lse, ...settings, scratch),
    () => {
      kernels.attention_backward(dy, ...query, ...operands, lse, ...gradients, ...settings, scratch)
    },
    () => {
      const [Q, K, V] = [q, k, v].map(at => instance.f32(at, at === q ? qCount : kCount))
      plainForward(Q, K, V, shape)
    },
  )
  // Pairs of a query and a key that it sees; two products forward, five backward.
  const pairs = H * (causal && Tq > 1 ? (Tq * (Tq + 1)) / 2 : Tq * Tk)
  const rates = [4, 10].map((flops, i) => (flops * pairs * D) / [forward, backward][i] / 1e6)
  const columns = rates.map(rate => `${rate.toFixed(1)} (${Math.round((100 * rate) / most)} %)`)
  const ratio = `${(plain / forward).toFixed(1)} x plain`
  console.log(name.padEnd(20), ...[...columns, ratio].map(column => column.padStart(16)))
}

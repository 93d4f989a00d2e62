// Nanoseconds per element of the elementwise kernels and of the loop that a program without a library
// would write, over arrays that fit the second-level cache: npx tsx bench/kernels/elementwise.ts
// What made the difference (ns per element, Xeon, V8 of Node 20):
//   mul             0.31 with partial loads in the loop, 0.15 with a loop of whole vectors
//   neg             0.58 and 0.18, for the same reason; nothing for silu and other long formulas
//   gelu_backward   4.2 with the exponential for any x, 3.7 with the one for x <= 0, without a branch
import { Bench } from 'tinybench'
import { binary as arithmetic } from '../../src/backends/wasm/binaries/arithmetic.ts'
import { binary as elementwise } from '../../src/backends/wasm/binaries/elementwise.ts'
import { binary as transformer } from '../../src/backends/wasm/binaries/transformer.ts'
import { erf } from '../../src/core/math.ts'
import { Random } from '../../src/core/rng.ts'
import { KernelInstance } from '../../test/support/instance.ts'

const COUNT = 16384
const VOCABULARY = 32768

interface Contender {
  readonly name: string
  readonly kernel: () => void
  readonly plain: () => void
  readonly elements: number
}

const element = new KernelInstance(elementwise.module(), 1)
const { mul: product } = element.exportsOf(arithmetic.module())
const row = new KernelInstance(transformer.module(), 4)

function filled(instance: KernelInstance, count: number, seed: string): number {
  const address = instance.reserve(4 * count)
  const random = new Random(1, seed)
  const view = instance.f32(address, count)
  view.set(view.map(() => random.uniformBetween(-4, 4)))
  return address
}

const a = filled(element, COUNT, 'a')
const b = filled(element, COUNT, 'b')
const y = element.reserve(4 * COUNT)
const [A, B, Y] = [a, b, y].map(address => element.f32(address, COUNT))

function unary(name: string, formula: (x: number) => number): Contender {
  return {
    name,
    kernel: () => element.kernels[name](a, y, COUNT),
    plain: () => {
      for (let i = 0; i < COUNT; i++) {
        Y[i] = formula(A[i])
      }
    },
    elements: COUNT,
  }
}

function backward(name: string, formula: (kept: number) => number): Contender {
  return {
    name: `${name}_backward`,
    kernel: () => element.kernels[`${name}_backward`](a, b, y, COUNT),
    plain: () => {
      for (let i = 0; i < COUNT; i++) {
        Y[i] = B[i] * formula(A[i])
      }
    },
    elements: COUNT,
  }
}

function mul(name: string, rows: number, bRow: number, bCol: number): Contender {
  const cols = COUNT / rows
  return {
    name: `mul, ${name}`,
    kernel: () => product(a, 0, cols, 1, b, 0, bRow * cols, bCol, y, 0, rows, cols),
    plain: () => {
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < cols; c++) {
          Y[r * cols + c] = A[r * cols + c] * B[r * bRow * cols + c * bCol]
        }
      }
    },
    elements: COUNT,
  }
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
const distribution = (x: number): number => 0.5 * (1 + erf(x * Math.SQRT1_2))
const density = (x: number): number => 0.3989422804014327 * Math.exp(-0.5 * x * x)

const rows = 4
const logits = filled(row, rows * VOCABULARY, 'logits')
const dlogits = row.reserve(4 * rows * VOCABULARY)
const target = row.reserve(4 * rows)
const [one, losses, weights, normalizers] = [4, 16, 16, 32].map(bytes => row.reserve(bytes))
row.i32(target, rows).set([1, 2, 3, 4])
row.f32(one, 1)[0] = 1
const L = row.f32(logits, rows * VOCABULARY)
const D = row.f32(dlogits, rows * VOCABULARY)
const sums = new Float64Array(rows)

function sumRow(r: number): number {
  let sum = 0
  for (let c = 0; c < VOCABULARY; c++) {
    sum += Math.exp(L[r * VOCABULARY + c] - 4)
  }
  return sum
}

const crossEntropy: readonly Contender[] = [
  {
    name: 'cross_entropy',
    kernel: () => {
      const { cross_entropy } = row.kernels
      cross_entropy(logits, target, one, 0, losses, weights, normalizers, rows, VOCABULARY, -1, 0)
    },
    plain: () => {
      for (let r = 0; r < rows; r++) {
        sums[r] = sumRow(r)
      }
    },
    elements: rows * VOCABULARY,
  },
  {
    name: 'cross_entropy_backward',
    kernel: () => {
      const { cross_entropy_backward } = row.kernels
      const sizes = [rows, VOCABULARY, -1, 0] as const
      cross_entropy_backward(logits, target, one, 0, normalizers, one, 0, one, dlogits, ...sizes)
    },
    plain: () => {
      for (let i = 0; i < L.length; i++) {
        D[i] = Math.exp(L[i] - 4) / sums[Math.floor(i / VOCABULARY)]
      }
    },
    elements: rows * VOCABULARY,
  },
]

const contenders: readonly Contender[] = [
  mul('equal shapes', 1, 0, 1),
  mul('by a number', 1, 0, 0),
  mul('by a row', 64, 0, 1),
  unary('neg', x => -x),
  unary('relu', x => Math.max(x, 0)),
  unary('silu', x => x * sigmoid(x)),
  backward('silu', x => sigmoid(x) * (1 + x * (1 - sigmoid(x)))),
  unary('gelu', x => x * distribution(x)),
  backward('gelu', x => distribution(x) + x * density(x)),
  unary('gelu_tanh', x => 0.5 * x * (1 + Math.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))),
  ...crossEntropy,
]

for (const { name, kernel, plain, elements } of contenders) {
  const bench = new Bench({ time: 200, warmupTime: 50 }).add('kernel', kernel).add('plain', plain)
  await bench.run()
  const nanoseconds = bench.tasks.map(task => {
    const { result } = task
    return 'latency' in result ? (result.latency.p50 * 1e6) / elements : Number.NaN
  })
  const [fast, slow] = nanoseconds
  const columns = [fast.toFixed(2), slow.toFixed(2), `${(slow / fast).toFixed(1)} x`]
  console.log(name.padEnd(24), ...columns.map(column => column.padStart(9)))
}

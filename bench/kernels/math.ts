// Nanoseconds per element of the f32 kernels of assembly/elementwise (vectors of four), of core/math
// in f64 and of a plain scalar loop over Math.*, in one run: npx tsx bench/kernels/math.ts
// What made the difference, on the way down for exp (ns per vector of four, Xeon, V8 of Node 20):
//   5.4   polynomial, constants in the code, k clamped, 2^k in two factors
//   4.9   2^k in one factor, lanes out of range sent to a slower function
//   2.9   constants loaded from memory: V8 rebuilds a v128 constant in each turn of a loop
import { Bench } from 'tinybench'
import { binary } from '../../src/backends/wasm/binaries/elementwise.ts'
import * as math from '../../src/core/math.ts'
import { Random } from '../../src/core/rng.ts'
import { KernelInstance } from '../../test/support/instance.ts'

const COUNT = 4096

interface Peer {
  own: (x: number) => number
  builtin: (x: number) => number
  low: number
  high: number
}

/** Math has neither function: what a program without a library would write. */
const builtinSigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Abramowitz and Stegun 7.1.26, with an error of 1.5e-7: the usual substitute. */
function builtinErf(x: number): number {
  const t = 1 / (1 + 0.3275911 * Math.abs(x))
  const series =
    ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t
  return Math.sign(x) * (1 - series * Math.exp(-x * x))
}

const PEERS: Record<string, Peer> = {
  exp: { own: math.exp, builtin: Math.exp, low: -10, high: 10 },
  log: { own: math.log, builtin: Math.log, low: 0.01, high: 100 },
  tanh: { own: math.tanh, builtin: Math.tanh, low: -5, high: 5 },
  sigmoid: { own: math.sigmoid, builtin: builtinSigmoid, low: -10, high: 10 },
  erf: { own: math.erf, builtin: builtinErf, low: -4, high: 4 },
  sin: { own: math.sin, builtin: Math.sin, low: -100, high: 100 },
  cos: { own: math.cos, builtin: Math.cos, low: -100, high: 100 },
}

const instance = new KernelInstance(binary.module(), 1)
const x = instance.reserve(4 * COUNT)
const y = instance.reserve(4 * COUNT)
const inputs = instance.f32(x, COUNT)
const outputs = instance.f32(y, COUNT)

/** A loop of its own for each function, so that engines can inline the call. */
function scalarLoop(name: string): (f: (x: number) => number) => () => void {
  const body = `return () => { for (let i = 0; i < x.length; i++) y[i] = f(x[i]) } // ${name}`
  return f => new Function('f', 'x', 'y', body)(f, inputs, outputs)
}

function checkCorrect(name: string, { own, low, high }: Peer): void {
  const random = new Random(1, name)
  inputs.set(inputs.map(() => random.uniformBetween(low, high)))
  instance.kernels[name](x, y, COUNT)
  outputs.forEach((value, i) => {
    const want = own(inputs[i])
    if (Math.abs(value - want) > 4e-7 * Math.abs(want) + 1e-12) {
      throw new Error(`${name}(${inputs[i]}) is ${want}, not ${value}`)
    }
  })
}

const rows: Record<string, Record<string, string>> = {}

for (const [name, peer] of Object.entries(PEERS)) {
  checkCorrect(name, peer)
  const bench = new Bench({ time: 300, warmupTime: 100 })
  bench.add('kernel', () => {
    instance.kernels[name](x, y, COUNT)
  })
  bench.add('own', scalarLoop(`own ${name}`)(peer.own))
  bench.add('builtin', scalarLoop(`builtin ${name}`)(peer.builtin))
  await bench.run()
  const [kernel, own, builtin] = bench.tasks.map(({ result }) => {
    return 'latency' in result ? (result.latency.p50 * 1e6) / COUNT : Number.NaN
  })
  rows[name] = {
    'f32 kernel, ns': kernel.toFixed(2),
    'f64 core/math, ns': own.toFixed(2),
    'Math.* loop, ns': builtin.toFixed(2),
    'Math.* / kernel': `${(builtin / kernel).toFixed(1)} ×`,
    'Math.* / core/math': `${(builtin / own).toFixed(2)} ×`,
  }
}

console.table(rows)

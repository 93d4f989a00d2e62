// Milliseconds from the import to the end of the first training step (LoRA r = 2 on a linear layer of 8),
// each in a fresh process: the package as it is installed, one file bundled for the program, and peers where
// they are installed (npm ci --prefix bench/peers). The best and the median of 11 starts, taken in turn; the
// start of the runtime itself is not counted.
//   npm run build && node bench/start.mjs
import { execFileSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'rolldown'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const peers = join(root, 'bench/peers/node_modules')
const STARTS = 11

const OURS = `
import { AdamW, attach, Linear, mseLoss, tensor, trainStep } from 'lowrank'
const model = attach(new Linear(8, 8), { r: 2 })
const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
const x = tensor(new Float32Array(8).fill(1), [1, 8])
await trainStep(optimizer, () => mseLoss(model.forward(x), x))
`

const TFJS = `
import * as tf from '@tensorflow/tfjs'
import '@tensorflow/tfjs-backend-wasm'
await tf.setBackend('wasm')
const w = tf.randomNormal([8, 8])
const a = tf.variable(tf.randomNormal([8, 2]))
const b = tf.variable(tf.zeros([2, 8]))
const x = tf.ones([1, 8])
const optimizer = tf.train.adam(1e-3)
optimizer.minimize(() => {
  const y = tf.add(tf.matMul(x, w), tf.matMul(tf.matMul(x, a), b))
  return tf.mean(tf.squaredDifference(y, x))
}, true).dataSync()
`

const JAX = `
import { defaultDevice, init, numpy as np, valueAndGrad } from '@jax-js/jax'
await init('wasm')
defaultDevice('wasm')
const normal = shape => np.array(new Float32Array(shape[0] * shape[1]).fill(0.1), { shape })
const [w, x, a] = [normal([8, 8]), np.ones([1, 8]), normal([8, 2])]
const b = np.zeros([2, 8])
const loss = ({ a, b }) => {
  const y = np.matmul(x.ref, w).add(np.matmul(np.matmul(x.ref, a), b))
  return np.mean(np.square(y.sub(x)))
}
const [value, grads] = valueAndGrad(loss)({ a: a.ref, b: b.ref })
// The first step of Adam: gradients over their own size.
const next = [[a, grads.a], [b, grads.b]].map(([p, g]) => {
  const size = np.sqrt(np.square(g.ref)).add(1e-8)
  return p.sub(g.div(size).mul(1e-3))
})
await Promise.all(next.map(p => p.data()))
await value.data()
`

const folder = mkdtempSync(join(tmpdir(), 'lowrank-start-'))
writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
mkdirSync(join(folder, 'node_modules'))
for (const part of ['dist', 'package.json']) {
  cpSync(join(root, part), join(folder, 'node_modules/lowrank', part), { recursive: true })
}
const PEERS = [
  { name: 'tfjs (wasm)', scope: '@tensorflow', source: TFJS },
  { name: 'jax-js (wasm)', scope: '@jax-js', source: JAX },
].filter(({ scope }) => existsSync(join(peers, scope)))
for (const { scope } of PEERS) {
  symlinkSync(join(peers, scope), join(folder, 'node_modules', scope))
}

const run = file => `
const start = performance.now()
await import('./${file}')
console.log(performance.now() - start)
process.exit()
`

function start(file) {
  writeFileSync(join(folder, 'run.mjs'), run(file))
  const out = execFileSync(process.execPath, ['run.mjs'], { cwd: folder, encoding: 'utf8' })
  return Number(out.trim().split('\n').at(-1))
}

/** Starts each program in turn, so that a slow second hits all of them. */
function printTimes(programs) {
  const samples = programs.map(() => [])
  for (let i = 0; i < STARTS; i++) {
    programs.forEach(({ file }, k) => {
      samples[k].push(start(file))
    })
  }
  programs.forEach(({ name }, k) => {
    const sorted = samples[k].sort((x, y) => x - y)
    const [best, median] = [sorted[0], sorted[STARTS >> 1]].map(time => time.toFixed(1))
    console.log(`${name}: best ${best}, median ${median} ms`)
  })
}

try {
  writeFileSync(join(folder, 'ours.mjs'), OURS)
  const output = { file: join(folder, 'bundled.mjs'), minify: true, codeSplitting: false }
  await build({ input: join(folder, 'ours.mjs'), platform: 'neutral', output, logLevel: 'silent' })
  PEERS.forEach(({ source }, i) => {
    writeFileSync(join(folder, `peer${i}.mjs`), source)
  })
  printTimes([
    { name: 'lowrank, as installed', file: 'ours.mjs' },
    { name: 'lowrank, bundled', file: 'bundled.mjs' },
    ...PEERS.map(({ name }, i) => ({ name, file: `peer${i}.mjs` })),
  ])
} finally {
  rmSync(folder, { recursive: true, force: true })
}

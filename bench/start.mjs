// Milliseconds from the import to the end of the first training step (LoRA r = 2 on a linear layer of 8),
// each in a fresh process: the package file by file, one file bundled for the program, and peers where
// they are installed (npm ci --prefix bench/peers). The best and the median of 11 starts; the start of
// the runtime itself is not counted.
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

const folder = mkdtempSync(join(tmpdir(), 'lowrank-start-'))
writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
mkdirSync(join(folder, 'node_modules'))
for (const part of ['dist', 'package.json']) {
  cpSync(join(root, part), join(folder, 'node_modules/lowrank', part), { recursive: true })
}
if (existsSync(join(peers, '@tensorflow'))) {
  symlinkSync(join(peers, '@tensorflow'), join(folder, 'node_modules/@tensorflow'))
}

const run = file => `
const start = performance.now()
await import('./${file}')
console.log(performance.now() - start)
process.exit()
`

function times(file) {
  writeFileSync(join(folder, 'run.mjs'), run(file))
  const samples = Array.from({ length: STARTS }, () => {
    const out = execFileSync(process.execPath, ['run.mjs'], { cwd: folder, encoding: 'utf8' })
    return Number(out.trim().split('\n').at(-1))
  }).sort((x, y) => x - y)
  return `best ${samples[0].toFixed(1)}, median ${samples[STARTS >> 1].toFixed(1)} ms`
}

try {
  writeFileSync(join(folder, 'ours.mjs'), OURS)
  console.log(`lowrank, file by file: ${times('ours.mjs')}`)
  const output = { file: join(folder, 'bundled.mjs'), minify: true, codeSplitting: false }
  await build({ input: join(folder, 'ours.mjs'), platform: 'neutral', output, logLevel: 'silent' })
  console.log(`lowrank, bundled: ${times('bundled.mjs')}`)
  if (existsSync(join(peers, '@tensorflow'))) {
    writeFileSync(join(folder, 'tfjs.mjs'), TFJS)
    console.log(`tfjs (wasm): ${times('tfjs.mjs')}`)
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

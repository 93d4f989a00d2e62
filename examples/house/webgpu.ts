// The household fine-tuned on WebGPU and on one thread of WASM by the same recipe: both must answer as
// many held-out commands exactly, within one point.
//
//   npm run demo:webgpu                                     the demo's recipe, on a GPU
//   npm run demo:webgpu -- --epochs 1 --held-out 60         for a device in software
//   deno run -A examples/house/webgpu.ts                    in Deno, after npm run build
//
// In Node it needs Dawn, `npm ci --ignore-scripts --prefix test/webgpu`; VK_ICD_FILENAMES chooses the
// driver.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { attach, type Backend, manualSeed, setBackend } from 'lowrank'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { loadTokenizer } from 'lowrank/tokenizer'
import { type CompletionExample, exactMatch, finetune, predict } from 'lowrank/train'
import { wasm } from 'lowrank/wasm'
import { webgpu } from 'lowrank/webgpu'

const { values } = parseArgs({
  options: {
    epochs: { type: 'string', default: '10' },
    'held-out': { type: 'string', default: '360' },
    'batch-size': { type: 'string', default: '16' },
  },
})

/** One point, or one answer where there are fewer than a hundred. */
const POINT = 0.01

const here = fileURLToPath(new URL('.', import.meta.url))
const files = directory(join(here, 'model'))
const tokenizer = await loadTokenizer(files)

function readLines(name: string): CompletionExample[] {
  const text = readFileSync(join(here, 'data', name), 'utf8')
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

const training = readLines('train.jsonl')
const all = readLines('held-out.jsonl')
const count = Number(values['held-out'])
const stride = Math.max(1, Math.floor(all.length / count))
const heldOut = all.filter((_, i) => i % stride === 0).slice(0, count)

async function device(): Promise<Backend> {
  if (globalThis.navigator && 'gpu' in navigator) {
    return webgpu()
  }
  const dawn = new URL('../../test/webgpu/node_modules/webgpu/index.js', import.meta.url)
  const { create } = await import(dawn.href)
  return webgpu({ gpu: create([]) })
}

interface Outcome {
  readonly backend: string
  readonly accuracy: number
  readonly lastLoss: number
  readonly steps: number
  readonly trainingSeconds: number
  readonly evaluationSeconds: number
}

async function outcomeOn(backend: Backend): Promise<Outcome> {
  setBackend(backend)
  manualSeed(1)
  const model = await loadModel(files)
  attach(model, { r: 4, loraAlpha: 16, targetModules: 'all-linear' })
  const { losses, steps, seconds } = await finetune(model, {
    tokenizer,
    data: training,
    lr: 1e-2,
    epochs: Number(values.epochs),
    batchSize: Number(values['batch-size']),
    loggingSteps: 10,
    schedule: 'cosine',
    seed: 1,
  })
  const start = performance.now()
  const accuracy = exactMatch(await predict(model, tokenizer, heldOut))
  return {
    backend: backend.name,
    accuracy,
    lastLoss: losses[steps - 1],
    steps,
    trainingSeconds: seconds,
    evaluationSeconds: (performance.now() - start) / 1000,
  }
}

const cpu = await outcomeOn(wasm())
console.log(JSON.stringify(cpu))
const gpu = await outcomeOn(await device())
console.log(JSON.stringify(gpu))
const apart = Math.abs(cpu.accuracy - gpu.accuracy)
const agrees = apart <= Math.max(POINT, 1 / heldOut.length) + Number.EPSILON
console.log(
  `${heldOut.length} commands answered exactly: wasm ${(100 * cpu.accuracy).toFixed(1)} %, ` +
    `webgpu ${(100 * gpu.accuracy).toFixed(1)} %, ${agrees ? 'within' : 'NOT within'} a point`,
)
process.exit(agrees ? 0 : 1)

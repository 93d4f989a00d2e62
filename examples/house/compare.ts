// The claims of LoRA on our own numbers: the household task fine-tuned fully and with LoRA at several
// ranks, over seeds; and one linear layer from d = 64 to 2048.
//
//   npm run compare                    3 seeds, about half an hour on one core
//   npm run compare -- --seeds 1 --epochs 2 --examples 60

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import {
  AdamW,
  attach,
  Linear,
  manualSeed,
  memory,
  mseLoss,
  Random,
  setBackend,
  tensor,
  trainStep,
} from 'lowrank'
import { memoryDirectory } from 'lowrank/io'
import { loraLayers, saveAdapter } from 'lowrank/lora'
import type { CausalLM } from 'lowrank/models'
import { loadModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { loadTokenizer } from 'lowrank/tokenizer'
import { exactMatch, finetune, predict } from 'lowrank/train'
import { wasm } from 'lowrank/wasm'
import type { HeldOut } from './grammar.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '3' },
    epochs: { type: 'string', default: '10' },
    examples: { type: 'string', default: '360' },
  },
})

const here = fileURLToPath(new URL('.', import.meta.url))
const files = directory(join(here, 'model'))
const tokenizer = await loadTokenizer(files)

function readLines(name: string): HeldOut[] {
  const text = readFileSync(join(here, 'data', name), 'utf8')
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

const training = readLines('train.jsonl')
const all = readLines('held-out.jsonl')
const stride = Math.max(1, Math.floor(all.length / Number(values.examples)))
const heldOut = all.filter((_, i) => i % stride === 0)

interface Method {
  readonly name: string
  /** 0: all parameters are trained. */
  readonly r: number
  readonly lr: number
}

const METHODS: readonly Method[] = [
  { name: 'full', r: 0, lr: 1e-3 },
  ...[1, 2, 4, 8, 16].map(r => ({ name: `LoRA r = ${r}`, r, lr: 1e-2 })),
]

interface Outcome {
  readonly trainable: number
  /** Σ r·(in + out) over the adapted layers; equal to `trainable` for LoRA. */
  readonly formula: number
  readonly optimizerBytes: number
  readonly peakBytes: number
  readonly msPerStep: number
  readonly checkpointBytes: number
  readonly accuracy: number
}

const FLOAT = 4

function prepare(model: CausalLM, { r }: Method): number {
  if (r === 0) {
    model.unfreeze()
    return 0
  }
  attach(model, { r, loraAlpha: 4 * r, targetModules: 'all-linear' })
  return loraLayers(model).reduce(
    (sum, { layer }) => sum + r * (layer.inFeatures + layer.outFeatures),
    0,
  )
}

async function checkpointBytes(model: CausalLM, { r }: Method): Promise<number> {
  if (r === 0) {
    return model.trainable().reduce((sum, { size }) => sum + size * FLOAT, 0)
  }
  const saved = memoryDirectory()
  await saveAdapter(model, saved)
  return saved.size('adapter_model.safetensors')
}

async function runOnce(method: Method, seed: number): Promise<Outcome> {
  // A memory of its own, so that the peak is this run's.
  setBackend(wasm())
  const model = await loadModel(files)
  manualSeed(seed)
  const formula = prepare(model, method)
  const trainable = model.trainable().reduce((sum, { size }) => sum + size, 0)
  const times: number[] = []
  let last = performance.now()
  await finetune(model, {
    tokenizer,
    data: training,
    lr: method.lr,
    epochs: Number(values.epochs),
    batchSize: 16,
    schedule: 'cosine',
    seed,
    onStep: () => {
      times.push(performance.now() - last)
      last = performance.now()
    },
  })
  const { peak } = memory()
  const bytes = await checkpointBytes(model, method)
  const predictions = await predict(model, tokenizer, heldOut)
  times.sort((a, b) => a - b)
  return {
    trainable,
    formula,
    optimizerBytes: 2 * trainable * FLOAT,
    peakBytes: peak,
    msPerStep: times[Math.floor(times.length / 2)],
    checkpointBytes: bytes,
    accuracy: exactMatch(predictions),
  }
}

const mean = (list: readonly number[]): number => list.reduce((a, b) => a + b, 0) / list.length
const mega = (bytes: number): string => `${(bytes / 1e6).toFixed(2)} MB`
const percent = (share: number): string => (share * 100).toFixed(1)

function row(cells: readonly (string | number)[]): void {
  console.log(`| ${cells.join(' | ')} |`)
}

async function compareMethods(): Promise<void> {
  const seeds = Array.from({ length: Number(values.seeds) }, (_, i) => i + 1)
  console.log(`\nThe household task, ${heldOut.length} held-out commands, ${seeds.length} seeds\n`)
  row(['', 'trainable', 'optimizer', 'peak', 'ms/step', 'checkpoint', 'exact match %'])
  row(['---', '--:', '--:', '--:', '--:', '--:', '--:'])
  for (const method of METHODS) {
    const outcomes: Outcome[] = []
    for (const seed of seeds) {
      outcomes.push(await runOnce(method, seed))
    }
    const [first] = outcomes
    if (method.r > 0 && first.trainable !== first.formula) {
      throw new Error(
        `${method.name}: ${first.trainable} trainable, the formula says ${first.formula}`,
      )
    }
    const accuracies = outcomes.map(({ accuracy }) => accuracy)
    row([
      method.name,
      first.trainable,
      mega(first.optimizerBytes),
      mega(Math.max(...outcomes.map(({ peakBytes }) => peakBytes))),
      mean(outcomes.map(({ msPerStep }) => msPerStep)).toFixed(0),
      mega(first.checkpointBytes),
      `${percent(mean(accuracies))} (${accuracies.map(percent).join(', ')})`,
    ])
  }
}

const TOKENS = 256
const LAYER_STEPS = 9

/** Median time of a step and the peak of one layer [d, d], trained fully or with LoRA. */
async function layerStep(d: number, r: number): Promise<{ ms: number; peak: number }> {
  setBackend(wasm())
  const random = new Random(1, d)
  const draw = (): Float32Array =>
    Float32Array.from({ length: TOKENS * d }, () => random.uniform() * 2 - 1)
  const base = new Linear(d, d, { bias: false })
  const model = r > 0 ? attach(base, { r, loraAlpha: 2 * r }) : base
  const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
  const [x, t] = [tensor(draw(), [TOKENS, d]), tensor(draw(), [TOKENS, d])]
  const times: number[] = []
  for (let i = 0; i < LAYER_STEPS; i++) {
    const start = performance.now()
    await trainStep(optimizer, () => mseLoss(model.forward(x), t))
    times.push(performance.now() - start)
  }
  times.sort((a, b) => a - b)
  return { ms: times[Math.floor(LAYER_STEPS / 2)], peak: memory().peak }
}

async function sweepWidths(): Promise<void> {
  console.log(`\nOne layer [d, d], ${TOKENS} tokens, LoRA r = 8 against full fine-tuning\n`)
  row([
    'd',
    'trainable LoRA',
    'full',
    'ms/step LoRA',
    'full',
    'ratio',
    'peak LoRA',
    'full',
    'ratio',
  ])
  row(['--:', '--:', '--:', '--:', '--:', '--:', '--:', '--:', '--:'])
  for (const d of [64, 128, 256, 512, 1024, 2048]) {
    const lora = await layerStep(d, 8)
    const full = await layerStep(d, 0)
    row([
      d,
      8 * 2 * d,
      d * d,
      lora.ms.toFixed(2),
      full.ms.toFixed(2),
      (lora.ms / full.ms).toFixed(2),
      mega(lora.peak),
      mega(full.peak),
      (lora.peak / full.peak).toFixed(2),
    ])
  }
}

await compareMethods()
await sweepWidths()

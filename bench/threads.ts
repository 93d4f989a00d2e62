// Two threads against one: products, and training steps of a linear layer with LoRA (256 rows, width 768 with
// r = 8, 2048 with r = 16) and of a two-layer Llama (width 256, 4 heads, feed-forward 704, vocabulary 512,
// 4 × 128 tokens, LoRA r = 8 on q and v). The results of both, for training the loss and every trained
// parameter, must be the same bits before a time counts, and workers must have computed a part of what is large
// enough to be handed out; that is looked at outside of what is timed. Samples alternate; the best and the
// median of each are printed.
//   npx tsx bench/threads.ts [--threads 2] [--only transformer]
// Another busy process takes the second core away. Where Linux tells how long threads waited for a core, samples
// in which they did are left out; elsewhere the ratios are those of a quiet machine only.

import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  AdamW,
  attach,
  type Backend,
  Linear,
  manualSeed,
  matmul,
  mseLoss,
  type Parameter,
  setBackend,
  step,
  tensor,
  trainStep,
} from 'lowrank'
import { LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'
import { wasm } from 'lowrank/wasm'

const { values } = parseArgs({
  options: { threads: { type: 'string', default: '2' }, only: { type: 'string', default: '' } },
})
const threads = Number(values.threads)

interface ThreadedBackend extends Backend {
  readonly computedByWorkers: number
}

const SAMPLES = 15
/** Rounds after which those samples must do that nothing disturbed. */
const MOST_ROUNDS = 60
/** The share of a sample that threads may wait for a core. */
const DISTURBED = 0.02

interface Job {
  /** What is timed. */
  run(): unknown
  /** Runs too, and returns all numbers of the result. */
  result(): Promise<Float32Array>
  /** Whether it is large enough to be handed out. */
  readonly shared: boolean
}

/** Products of fewer multiplications stay with the caller. */
const LEAST_SHARED = 500_000

const TOKENS = 128
const BATCH = 4
const ROWS = 256
const CONFIG = {
  vocab_size: 512,
  hidden_size: 256,
  intermediate_size: 704,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 4,
  max_position_embeddings: TOKENS,
}

function transformer(): Job {
  manualSeed(1)
  const base = new LlamaForCausalLM(readLlamaConfig('bench', CONFIG))
  const model = attach(base, { r: 8, targetModules: ['q_proj', 'v_proj'] })
  const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
  const ids = Int32Array.from({ length: BATCH * TOKENS }, (_, i) => (i * 40503) % 512)
  const tokens = tensor(ids, [BATCH, TOKENS], { dtype: 'int32' })
  return training(model.trainable(), () => trainStep(optimizer, () => model.loss(tokens, tokens)))
}

function training(parameters: readonly Parameter[], run: () => Promise<number>): Job {
  const result = async (): Promise<Float32Array> => {
    const loss = await run()
    const trained = await Promise.all(parameters.map(parameter => parameter.data()))
    return Float32Array.from([loss, ...trained.flatMap(values => [...values].map(Number))])
  }
  return { run, result, shared: true }
}

function layer(width: number, r: number): Job {
  manualSeed(1)
  const model = attach(new Linear(width, width, { bias: false }), { r, loraAlpha: 2 * r })
  const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
  const x = tensor(ramp(ROWS * width), [ROWS, width])
  const target = tensor(ramp(ROWS * width).reverse(), [ROWS, width])
  return training(model.trainable(), () =>
    trainStep(optimizer, () => mseLoss(model.forward(x), target)),
  )
}

const ramp = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => ((i * 37) % 101) / 101 - 0.5)

/** a · bᵀ with both operands on the backend, several times in a step. */
function product(M: number, N: number, K: number, times: number): Job {
  const a = tensor(ramp(M * K), [M, K])
  const b = tensor(ramp(N * K), [N, K])
  const run = (): void => {
    step(() => {
      for (let i = 0; i < times; i++) {
        matmul(a, b, { transposeB: true })
      }
    })
  }
  const result = async (): Promise<Float32Array> =>
    Float32Array.from(await matmul(a, b, { transposeB: true }).data())
  return { run, result, shared: M * N * K >= LEAST_SHARED }
}

const JOBS: Readonly<Record<string, () => Job>> = {
  transformer,
  'LoRA layer, 768': () => layer(768, 8),
  'LoRA layer, 2048': () => layer(2048, 16),
  '64³': () => product(64, 64, 64, 400),
  '128³': () => product(128, 128, 128, 100),
  '256³': () => product(256, 256, 256, 20),
  '512³': () => product(512, 512, 512, 5),
  '1024³': () => product(1024, 1024, 1024, 1),
  '1 × 2048 × 2048': () => product(1, 2048, 2048, 20),
  '8 × 768 × 256': () => product(8, 768, 256, 50),
}

async function on<T>(backend: Backend, fn: () => T | Promise<T>): Promise<T> {
  setBackend(backend)
  try {
    return await fn()
  } finally {
    setBackend(undefined)
  }
}

/** Milliseconds that the threads of this process have waited for a core so far; 0 where nothing tells. */
function waited(): number {
  try {
    const times = readdirSync('/proc/self/task').map(task =>
      Number(readFileSync(`/proc/self/task/${task}/schedstat`, 'utf8').split(' ')[1]),
    )
    return times.reduce((sum, time) => sum + time, 0) / 1e6
  } catch {
    return 0
  }
}

/** The time of a run, unless something else had a core meanwhile. */
async function milliseconds(job: Job): Promise<number | undefined> {
  const before = waited()
  const start = performance.now()
  await job.run()
  const time = performance.now() - start
  return waited() - before > DISTURBED * time ? undefined : time
}

/** Best and median, in ms. */
function summary(samples: readonly number[]): [best: number, median: number] {
  const sorted = samples.toSorted((x, y) => x - y)
  return [sorted[0], sorted[sorted.length >> 1]]
}

const one = wasm()
const several = wasm({ threads })
const backends = [one, several]

async function checkBits(name: string, jobs: readonly Job[]): Promise<void> {
  const results = [await on(one, () => jobs[0].result()), await on(several, () => jobs[1].result())]
  const [x, y] = results.map(values => new Uint32Array(values.buffer))
  if (x.length !== y.length || x.some((bits, i) => bits !== y[i])) {
    throw new Error(`${name}: other bits on ${threads} threads than on one`)
  }
}

/** Rows, columns and elements that workers have computed so far. */
const workersShare = (): number => (several as unknown as ThreadedBackend).computedByWorkers

/** Undisturbed samples on one thread and on several. */
async function sampled(jobs: readonly Job[]): Promise<number[][]> {
  const samples: number[][] = [[], []]
  for (let round = 0; round < MOST_ROUNDS; round++) {
    for (const which of [0, 1]) {
      const time = await on(backends[which], () => milliseconds(jobs[which]))
      samples[which].push(...(time === undefined ? [] : [time]))
    }
    if (samples.every(times => times.length >= SAMPLES)) {
      break
    }
  }
  return samples
}

const chosen = Object.entries(JOBS).filter(([name]) => name.startsWith(values.only))
if (chosen.length === 0) {
  throw new Error(`--only: expected the beginning of ${Object.keys(JOBS).join(', ')}`)
}
for (const [name, make] of chosen) {
  const jobs = [await on(one, make), await on(several, make)]
  for (let warm = 0; warm < 5; warm++) {
    await checkBits(name, jobs)
    // Workers start in the meantime.
    await pause(50)
  }
  const share = workersShare()
  const samples = await sampled(jobs)
  if (jobs[1].shared && workersShare() === share) {
    throw new Error(`${name}: workers took no part`)
  }
  await checkBits(name, jobs)
  const counts = samples.map(times => times.length)
  if (counts.includes(0)) {
    console.log(`${name}: no undisturbed sample`)
    continue
  }
  const [[best1, median1], [best2, median2]] = samples.map(summary)
  console.log(
    `${name}: ${best1.toFixed(2)} → ${best2.toFixed(2)} ms, ${(best1 / best2).toFixed(2)} × ` +
      `(median ${(median1 / median2).toFixed(2)} ×; ${counts.join(' and ')} samples)`,
  )
}
several.dispose()

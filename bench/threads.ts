// Two threads against one: products, and one training step of a two-layer Llama (width 256, 4 heads,
// feed-forward 704, vocabulary 512, 4 × 128 tokens, LoRA r = 8 on q and v). The results of both must be
// the same bits before a time counts. Samples alternate; the best and the median of each are printed.
//   npx tsx bench/threads.ts [--threads 2]
// Another busy process takes the second core away: the ratios are those of a quiet machine only.

import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import {
  AdamW,
  attach,
  type Backend,
  manualSeed,
  matmul,
  setBackend,
  step,
  tensor,
  trainStep,
} from 'lowrank'
import { LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'
import { wasm } from 'lowrank/wasm'

const { values } = parseArgs({ options: { threads: { type: 'string', default: '2' } } })
const threads = Number(values.threads)
const SAMPLES = 15

/** Runs once and returns a number that all bits of the result went into. */
type Job = () => Promise<number>

const TOKENS = 128
const BATCH = 4
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
  return () => trainStep(optimizer, () => model.loss(tokens, tokens))
}

const values1 = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => ((i * 37) % 101) / 101 - 0.5)

/** a · bᵀ with both operands on the backend, inside a step that reads one element. */
function product(M: number, N: number, K: number, times: number): Job {
  const a = tensor(values1(M * K), [M, K])
  const b = tensor(values1(N * K), [N, K])
  return async () =>
    step(() => {
      let last = matmul(a, b, { transposeB: true })
      for (let i = 1; i < times; i++) {
        last = matmul(a, b, { transposeB: true })
      }
      return Array.from(last.dataSync()).reduce((sum, value) => sum + value, 0)
    })
}

const JOBS: Readonly<Record<string, () => Job>> = {
  transformer,
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

async function milliseconds(job: Job): Promise<number> {
  const start = performance.now()
  await job()
  return performance.now() - start
}

/** Best and median, in ms. */
function summary(samples: readonly number[]): [best: number, median: number] {
  const sorted = samples.toSorted((x, y) => x - y)
  return [sorted[0], sorted[sorted.length >> 1]]
}

const one = wasm()
const several = wasm({ threads })

for (const [name, make] of Object.entries(JOBS)) {
  const jobs = [await on(one, make), await on(several, make)]
  const backends = [one, several]
  for (let warm = 0; warm < 5; warm++) {
    const [x, y] = [await on(one, jobs[0]), await on(several, jobs[1])]
    if (x !== y) {
      throw new Error(`${name}: ${x} on one thread, ${y} on ${threads}`)
    }
    await pause(50)
  }
  const samples: number[][] = [[], []]
  for (let i = 0; i < SAMPLES; i++) {
    for (const which of [0, 1]) {
      samples[which].push(await on(backends[which], () => milliseconds(jobs[which])))
    }
  }
  const [[best1, median1], [best2, median2]] = samples.map(summary)
  console.log(
    `${name}: ${best1.toFixed(2)} → ${best2.toFixed(2)} ms, ${(best1 / best2).toFixed(2)} × ` +
      `(median ${(median1 / median2).toFixed(2)} ×)`,
  )
}
several.dispose()

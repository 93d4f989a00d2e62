// WebGPU beside one thread of WASM: square products, one training step of a LoRA layer, and one of a
// small Llama. Results are compared before a time counts.
//   npm run bench:webgpu                          software-sized: see which figures are ratios only
//   npm run bench:webgpu -- --hardware            the full sizes, for a real GPU
// It runs in Node with Dawn (test/webgpu); VK_ICD_FILENAMES chooses the driver.

import { parseArgs } from 'node:util'
import {
  AdamW,
  attach,
  type Backend,
  loraLinear,
  manualSeed,
  matmul,
  mul,
  Parameter,
  step,
  sum,
  tensor,
  trainStep,
  withBackend,
} from 'lowrank'
import { LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'
import { wasm } from 'lowrank/wasm'
import { type WebGpuBackend, webgpu } from 'lowrank/webgpu'

const { values } = parseArgs({ options: { hardware: { type: 'boolean', default: false } } })
const SAMPLES = values.hardware ? 15 : 3
const SQUARES = values.hardware ? [512, 1024, 2048, 4096] : [128, 256, 512]
const WIDTHS = values.hardware ? [768, 2048, 4096] : [64, 128, 256]
const TOKENS = values.hardware ? [256, 1024] : [64]

/** Runs once, waits until it is done, and returns a number of the result. */
type Job = () => Promise<number>

const numbers = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => ((i * 37) % 101) / 101 - 0.5)

/** Several products of which the last one is read in part: the wait is paid once. */
function product(n: number, times: number): Job {
  const [a, b] = [1, 2].map(() => new Parameter(numbers(n * n), [n, n], { requiresGrad: false }))
  return async () => {
    const y = step(() => {
      let last = sum(matmul(a, b))
      for (let i = 1; i < times; i++) {
        last = sum(matmul(a, b))
      }
      return last
    })
    return y.item()
  }
}

function layer(width: number, tokens: number, r: number): Job {
  manualSeed(1)
  const weight = new Parameter(numbers(width * width), [width, width])
  weight.freeze()
  const A = new Parameter(numbers(r * width), [r, width])
  const B = new Parameter(numbers(width * r), [width, r])
  const x = tensor(numbers(tokens * width), [tokens, width])
  const optimizer = new AdamW([A, B], { lr: 1e-4 })
  const loss = () => {
    const y = loraLinear(x, weight, undefined, [{ A, B, scale: 2 }])
    return sum(mul(y, y))
  }
  return () => trainStep(optimizer, () => mul(loss(), 1 / (tokens * width)))
}

function transformer(): Job {
  manualSeed(1)
  const config = {
    vocab_size: 512,
    hidden_size: 128,
    intermediate_size: 352,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    max_position_embeddings: 64,
  }
  const base = new LlamaForCausalLM(readLlamaConfig('bench', config))
  const model = attach(base, { r: 8, targetModules: ['q_proj', 'v_proj'] })
  const optimizer = new AdamW(model.trainable(), { lr: 1e-3 })
  const ids = Int32Array.from({ length: 64 }, (_, i) => (i * 40503) % 512)
  const tokens = tensor(ids, [1, 64], { dtype: 'int32' })
  return () => trainStep(optimizer, () => model.loss(tokens, tokens))
}

interface Row {
  readonly name: string
  readonly make: () => Job
  /** Floating point operations of one run. */
  readonly operations?: number
}

function rows(): Row[] {
  const times = values.hardware ? 10 : 1
  return [
    ...SQUARES.map(n => ({
      name: `matmul ${n}³`,
      make: () => product(n, times),
      operations: 2 * n * n * n * times,
    })),
    ...WIDTHS.flatMap(width =>
      TOKENS.flatMap(tokens =>
        [8, 16].map(r => ({
          name: `LoRA layer step, d ${width}, r ${r}, ${tokens} tokens`,
          make: () => layer(width, tokens, r),
        })),
      ),
    ),
    { name: 'Llama step, 2 layers, width 128, 64 tokens', make: transformer },
  ]
}

async function timed(job: Job): Promise<number> {
  const start = performance.now()
  await job()
  return performance.now() - start
}

async function median(backend: Backend, { make }: Row): Promise<{ ms: number; first: number }> {
  const job = withBackend(backend, make)
  const run = (): Promise<number> => withBackend(backend, job)
  const first = await run()
  await run()
  const samples: number[] = []
  for (let i = 0; i < SAMPLES; i++) {
    samples.push(await timed(run))
  }
  samples.sort((a, b) => a - b)
  return { ms: samples[Math.floor(samples.length / 2)], first }
}

/** Rounding of float32 sums of up to some thousand terms, as a share of the result. */
const AGREEMENT = 2e-3

async function compare(gpu: WebGpuBackend, row: Row): Promise<void> {
  const [device, thread] = [await median(gpu, row), await median(wasm(), row)]
  const off = Math.abs(device.first - thread.first) / Math.max(Math.abs(thread.first), 1)
  if (!(off <= AGREEMENT)) {
    throw new Error(`${row.name}: ${device.first} on webgpu, ${thread.first} on wasm`)
  }
  const rate = row.operations ? `, ${(row.operations / device.ms / 1e6).toFixed(1)} GFLOP/s` : ''
  const ratio = (thread.ms / device.ms).toFixed(2)
  console.log(
    `${row.name}: webgpu ${device.ms.toFixed(1)} ms${rate}, wasm ${thread.ms.toFixed(1)} ms, ` +
      `webgpu is ${ratio} × as fast`,
  )
}

const dawn = new URL('../test/webgpu/node_modules/webgpu/index.js', import.meta.url)
const { create } = await import(dawn.href)
const gpu = create([])
const { info } = await gpu.requestAdapter()
console.log(`device: ${info.vendor} ${info.architecture} ${info.description}`)
const backend = await webgpu({ gpu })
for (const row of rows()) {
  await compare(backend, row)
}
process.exit()

// What a runtime with WebGPU has to get right, in one file: every sample of an op, forward and backward, and
// some training steps of a small Llama under an adapter, on its device beside WASM in the same runtime. The
// answer, as JSON, is printed and left in `globalThis.result`.

import { wasm } from '../../../src/backends/wasm/index.ts'
import { webgpu } from '../../../src/backends/webgpu/index.ts'
import { scaledError } from '../../../src/conformance/compare.ts'
import {
  draw,
  inputsOf,
  isDifferentiated,
  SAMPLES,
  type Sample,
  sampleName,
} from '../../../src/conformance/samples/index.ts'
import { type Backend, setBackend } from '../../../src/core/backend.ts'
import { manualSeed } from '../../../src/core/random_state.ts'
import { backward, noGrad, step } from '../../../src/core/tape.ts'
import { type Tensor, tensor } from '../../../src/core/tensor.ts'
import { attach } from '../../../src/lora/index.ts'
import { LlamaForCausalLM, readLlamaConfig } from '../../../src/models/index.ts'
import { sum } from '../../../src/ops/sum.ts'
import { AdamW } from '../../../src/optim/index.ts'
import { trainStep } from '../../../src/train/index.ts'

/** What a runtime answers. */
export interface CompactReport {
  readonly device: string
  readonly samples: number
  /** The samples that differ between device and WASM, and by how much of what is allowed. */
  readonly problems: readonly string[]
  readonly losses: readonly number[]
  readonly wasmLosses: readonly number[]
}

/** Values and gradients of one sample. */
async function results(sample: Sample, backend: Backend): Promise<ArrayLike<number>[]> {
  setBackend(backend)
  // The same draws of dropout for both.
  manualSeed(3)
  const inputs = inputsOf(sample, draw(sample, 0), backend)
  const run = (): Tensor => {
    const y = sample.call(...inputs)
    if (y.requiresGrad) {
      backward(sum(y))
    }
    return y
  }
  const y = await (sample.inputs.some(isDifferentiated) ? step(run) : noGrad(run)).data()
  const gradients = await Promise.all(inputs.map(async ({ grad }) => (await grad?.data()) ?? []))
  return [y, ...gradients]
}

/** The scaled error between backends that a sample without a tolerance of its own may have. */
const ALLOWED = 4e-6

async function problemOf(sample: Sample, gpu: Backend): Promise<string | undefined> {
  const [got, want] = [await results(sample, gpu), await results(sample, wasm())]
  const errors = got.map((values, i) => scaledError(values, want[i]))
  const worst = Math.max(...errors) / (sample.tolerance ?? ALLOWED)
  return worst <= 1 ? undefined : `${sampleName(sample)}: ${worst.toFixed(1)}`
}

const CONFIG = {
  vocab_size: 64,
  hidden_size: 32,
  intermediate_size: 48,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
}

async function lossesOn(backend: Backend): Promise<number[]> {
  setBackend(backend)
  manualSeed(1)
  const base = new LlamaForCausalLM(readLlamaConfig('test', CONFIG))
  const model = attach(base, { r: 4, loraDropout: 0.1 })
  const optimizer = new AdamW(model.trainable(), { lr: 1e-2 })
  const numbers = Int32Array.from({ length: 24 }, (_, i) => (i * 7) % 64)
  const ids = tensor(numbers, [2, 12], { dtype: 'int32' })
  const losses: number[] = []
  for (let i = 0; i < 6; i++) {
    losses.push(await trainStep(optimizer, () => model.loss(ids, ids), { maxGradNorm: 1 }))
  }
  return losses
}

async function deviceName(gpu: GPU): Promise<string> {
  const {
    vendor = '',
    architecture = '',
    description = '',
  } = (await gpu.requestAdapter())?.info ?? {}
  return [vendor, architecture, description].filter(Boolean).join(' ')
}

async function report(gpu: GPU): Promise<CompactReport> {
  const backend = await webgpu({ gpu })
  const problems: string[] = []
  for (const sample of SAMPLES) {
    const problem = await problemOf(sample, backend).catch(
      (error: Error) => `${sampleName(sample)}: ${error.message}`,
    )
    problems.push(...(problem ? [problem] : []))
  }
  return {
    device: await deviceName(gpu),
    samples: SAMPLES.length,
    problems,
    losses: await lossesOn(backend),
    wasmLosses: await lossesOn(wasm()),
  }
}

/** Where Dawn is, in runtimes that have no GPU of their own. */
const dawn = globalThis.process?.env.LOWRANK_DAWN
const gpu: GPU | undefined = dawn
  ? (await import(/* @vite-ignore */ dawn)).create([])
  : globalThis.navigator.gpu
const answer: CompactReport | { error: string } = gpu
  ? await report(gpu).catch(error => ({ error: String(error?.stack ?? error) }))
  : { error: 'no WebGPU here' }
const result = JSON.stringify(answer)
Object.assign(globalThis, { result })
console.log(result)
if (dawn) {
  process.exit()
}

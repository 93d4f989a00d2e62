// What LoRA's variants and its bookkeeping cost: a step of DoRA beside one of LoRA, a batch whose rows
// all have adapters of their own beside one adapter for all, and attaching to a model of 135 million
// parameters.
//
//   npm run bench:lora

import {
  AdamW,
  attach,
  backward,
  Linear,
  mseLoss,
  Random,
  step,
  type Tensor,
  tensor,
} from 'lowrank'
import { attach as attachAny, deleteAdapter, type LoraModule } from 'lowrank/lora'
import { LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'
import { type Timing, timeAll } from './kernels/samples.ts'

function draw(name: string, shape: readonly number[]): Tensor {
  const random = new Random(1, name)
  const count = shape.reduce((n, size) => n * size, 1)
  return tensor(
    Float32Array.from({ length: count }, () => random.normal()),
    shape,
  )
}

const ms = ({ median }: Timing): string => (median * 1e3).toFixed(2)

function report(what: string, ours: Timing, beside: Timing, goal: number): void {
  const ratio = ours.median / beside.median
  const verdict = ratio <= goal ? 'met' : 'missed'
  console.log(
    `${what.padEnd(44)} ${ms(ours)} ms beside ${ms(beside)} ms: ${ratio.toFixed(2)} × ` +
      `(goal ${goal} ×: ${verdict})`,
  )
}

/** One step of AdamW on a layer [d, d], 256 tokens, as the peers' bench defines it. */
function layerStep(d: number, r: number, useDora: boolean): () => void {
  const config = { r, loraAlpha: 2 * r, initLoraWeights: false, useDora }
  const layer = attachAny(new Linear(d, d, { bias: false }), config)
  const optimizer = new AdamW(layer.trainable(), { lr: 1e-3 })
  const [x, target] = [draw('x', [256, d]), draw('t', [256, d])]
  return () => {
    step(() => backward(mseLoss(layer.forward(x), target)))
    optimizer.step()
    optimizer.zeroGrad()
  }
}

function benchDora(): void {
  for (const [d, r] of [
    [768, 8],
    [2048, 16],
  ]) {
    const [lora, dora] = timeAll([layerStep(d, r, false), layerStep(d, r, true)])
    report(`DoRA step, ${d}, r = ${r}, 256 tokens`, dora, lora, 1.35)
  }
}

const ROWS = 64

function layerWith(adapters: number): LoraModule {
  let layer: LoraModule | Linear = new Linear(768, 768)
  for (let i = 0; i < adapters; i++) {
    layer = attach(layer, { r: 8, initLoraWeights: false }, { adapterName: `${i}` }) as LoraModule
  }
  return layer as LoraModule
}

function benchRows(): void {
  const x = draw('rows', [ROWS, 768])
  const [one, many] = [layerWith(1), layerWith(ROWS)]
  const adapterNames = Array.from({ length: ROWS }, (_, i) => `${i}`)
  const [single, each] = timeAll([
    () => one.forward(x, { adapter: '0' }),
    () => many.forward(x, { adapterNames }),
  ])
  report(`${ROWS} adapters for ${ROWS} rows, 768, r = 8`, each, single, 1.5)
}

function benchAttach(): void {
  const model = new LlamaForCausalLM(
    readLlamaConfig('bench', {
      vocab_size: 49152,
      hidden_size: 576,
      intermediate_size: 1536,
      num_hidden_layers: 30,
      num_attention_heads: 9,
      num_key_value_heads: 3,
      tie_word_embeddings: true,
    }),
  )
  const times = Array.from({ length: 9 }, () => {
    const start = performance.now()
    attach(model, { r: 8, targetModules: 'all-linear' })
    const time = performance.now() - start
    deleteAdapter(model, 'default')
    return time
  })
  const median = times.toSorted((a, b) => a - b)[4]
  console.log(
    `attach to a model of 135 million parameters     ${median.toFixed(1)} ms, ` +
      `first ${times[0].toFixed(1)} ms (goal 100 ms: ${median <= 100 ? 'met' : 'missed'})`,
  )
}

benchDora()
benchRows()
benchAttach()

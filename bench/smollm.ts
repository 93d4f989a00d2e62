// A training step of a model of 135 million parameters on one thread: the shape of SmolLM2-135M with random
// weights in bfloat16, LoRA r = 8 on all linear layers, AdamW, one sequence of 256 tokens. Seconds per step,
// GFLOP/s and the memory taken: npm run build && npx tsx bench/smollm.ts [--steps N] [--json FILE]
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { AdamW, attach, memory, Random, tensor, trainStep } from 'lowrank'
import { LlamaForCausalLM, readLlamaConfig } from 'lowrank/models'
import { planMemory } from 'lowrank/train'

const TOKENS = 256
const RANK = 8

const shape = {
  vocab_size: 49152,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  max_position_embeddings: 8192,
  rms_norm_eps: 1e-5,
  rope_theta: 100000,
  tie_word_embeddings: true,
}

/** Bits of bfloat16 numbers uniform in ±bound. */
function bfloat16(count: number, bound: number, random: Random): Uint16Array {
  const value = new Float32Array(1)
  const bits = new Uint32Array(value.buffer)
  return Uint16Array.from({ length: count }, () => {
    value[0] = (2 * random.uniform() - 1) * bound
    return bits[0] >>> 16
  })
}

function randomModel(): LlamaForCausalLM {
  const model = new LlamaForCausalLM(readLlamaConfig('smollm', shape))
  const random = new Random(1, 'smollm')
  const done = new Set<object>()
  for (const [name, parameter] of model.namedParameters()) {
    if (done.has(parameter)) {
      continue
    }
    done.add(parameter)
    const norm = parameter.shape.length === 1
    const bound = norm ? 0 : Math.sqrt(3 / parameter.shape[1]) * (name.includes('embed') ? 0.5 : 1)
    const bits = norm
      ? new Uint16Array(parameter.size).fill(0x3f80)
      : bfloat16(parameter.size, bound, random)
    parameter.replace(bits, 'bfloat16')
  }
  return model.freeze()
}

/** Multiplications and additions of the products of one step; causal attention counts half its square. */
function operations(): number {
  const { hidden_size: d, intermediate_size: f, num_hidden_layers: layers } = shape
  const kv = (d * shape.num_key_value_heads) / shape.num_attention_heads
  const sizes = [
    [d, d],
    [d, kv],
    [d, kv],
    [d, d],
    [d, f],
    [d, f],
    [f, d],
  ]
  const base = layers * sizes.reduce((sum, [I, O]) => sum + I * O, 0)
  const adapters = layers * RANK * sizes.reduce((sum, [I, O]) => sum + I + O, 0)
  const head = shape.vocab_size * d
  // Nothing goes back through the first projections: the embedding is frozen.
  const unwalked = d * d + 2 * d * kv
  const attention = layers * 2 * TOKENS * d * (TOKENS / 2)
  return 2 * TOKENS * (2 * (base + head) - unwalked + 3 * adapters) + 2 * 3.5 * attention
}

const { values } = parseArgs({
  options: { steps: { type: 'string', default: '5' }, json: { type: 'string' } },
})

const model = randomModel()
attach(model, { r: RANK, loraAlpha: 2 * RANK, targetModules: 'all-linear' })
console.log(String(planMemory(model, { batch: 1, tokens: TOKENS })))
const trained = model.trainable()
const optimizer = new AdamW(trained, { lr: 1e-3 })
const random = new Random(2, 'tokens')
const ids = Int32Array.from({ length: TOKENS }, () => random.integer(shape.vocab_size))
const tokens = tensor(ids, [1, TOKENS], { dtype: 'int32' })

const losses: number[] = []
const seconds: number[] = []
for (let i = 0; i < Number(values.steps); i++) {
  const used = process.cpuUsage()
  const start = performance.now()
  losses.push(await trainStep(optimizer, () => model.loss(tokens, tokens)))
  const clock = (performance.now() - start) / 1000
  const { user, system } = process.cpuUsage(used)
  seconds.push(Math.min(clock, (user + system) / 1e6))
  console.log(`step ${i + 1}: loss ${losses[i].toFixed(4)}, ${seconds[i].toFixed(2)} s`)
}
const { peak, reserved } = memory()
// The first step uploads and packs the weights.
const median = seconds.slice(1).sort((a, b) => a - b)[(seconds.length - 1) >> 1]
const result = {
  tokens: TOKENS,
  trainable: trained.reduce((sum, { size }) => sum + size, 0),
  losses,
  seconds: median,
  gflops: operations() / median / 1e9,
  heap: peak / 1e6,
  reserved: reserved / 1e6,
}
console.log(
  `${median.toFixed(2)} s per step, ${result.gflops.toFixed(1)} GFLOP/s, ` +
    `${result.heap.toFixed(0)} MB in use at the peak, ${result.reserved.toFixed(0)} MB of WASM memory`,
)
if (values.json) {
  writeFileSync(values.json, `${JSON.stringify(result, null, 1)}\n`)
}

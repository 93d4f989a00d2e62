// Pretrains the bundled base: a small Llama, all parameters trained, on commands for houses that the
// generator makes up. Writes examples/house/model/: config.json, generation_config.json and
// model.safetensors (bfloat16) beside the tokenizer.
//
//   npm run pretrain                  about a quarter of an hour on one core
//   npm run pretrain -- --examples 2000 --out out/quick

import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { manualSeed, Random } from 'lowrank'
import { type CausalLM, saveModel } from 'lowrank/models'
import { createModel } from 'lowrank/models/auto'
import { directory } from 'lowrank/node'
import { loadTokenizer } from 'lowrank/tokenizer'
import { exactMatch, finetune, predict } from 'lowrank/train'
import { baseExamples, baseHeldOut } from './base-task.ts'

const SEED = 1
const INITIAL_DEVIATION = 0.06

const { values } = parseArgs({
  options: {
    examples: { type: 'string', default: '110000' },
    lr: { type: 'string', default: '3e-3' },
    out: { type: 'string', default: fileURLToPath(new URL('./model', import.meta.url)) },
  },
})

const here = dirname(fileURLToPath(import.meta.url))
const tokenizer = await loadTokenizer(directory(join(here, 'model')))

const config = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: tokenizer.vocabSize,
  hidden_size: 128,
  intermediate_size: 352,
  num_hidden_layers: 4,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  head_dim: 32,
  hidden_act: 'silu',
  max_position_embeddings: 128,
  rms_norm_eps: 1e-5,
  rope_parameters: { rope_type: 'default', rope_theta: 10000 },
  tie_word_embeddings: true,
  attention_bias: false,
  mlp_bias: false,
  attention_dropout: 0,
  initializer_range: INITIAL_DEVIATION,
  bos_token_id: 1,
  eos_token_id: 2,
  pad_token_id: 0,
  use_cache: true,
  dtype: 'bfloat16',
}

const generationConfig = { bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 }

/** Matrices normal with a small deviation, smaller for those that write to the residual stream. */
function initialize(model: CausalLM): void {
  const depth = Math.sqrt(2 * config.num_hidden_layers)
  for (const [name, parameter] of model.namedParameters()) {
    if (parameter.shape.length === 2) {
      const random = new Random(SEED, name)
      const deviation = INITIAL_DEVIATION / (/(o_proj|down_proj)/.test(name) ? depth : 1)
      parameter.replace(
        Float32Array.from({ length: parameter.size }, () => random.normal() * deviation),
      )
    }
    parameter.unfreeze()
  }
}

function* first<T>(items: Iterable<T>, count: number): Generator<T> {
  let taken = 0
  for (const item of items) {
    if (taken++ === count) {
      return
    }
    yield item
  }
}

manualSeed(SEED)
const model = createModel('pretrain', config)
initialize(model)
const data = [...first(baseExamples(SEED), Number(values.examples))]
const started = performance.now()
const run = await finetune(model, {
  tokenizer,
  data,
  epochs: 1,
  batchSize: 32,
  lr: Number(values.lr),
  schedule: 'cosine',
  warmupRatio: 0.03,
  weightDecay: 0.05,
  maxGradNorm: 1,
  seed: SEED,
  onStep: ({ step, totalSteps, loss, tokensPerSecond }) => {
    if (step % 100 === 0 || step === totalSteps) {
      const rate = tokensPerSecond.toFixed(0)
      console.log(`step ${step}/${totalSteps}, loss ${loss.toFixed(4)}, ${rate} tokens/s`)
    }
  },
})
model.freeze()
mkdirSync(values.out, { recursive: true })
writeFileSync(join(here, 'model', 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
writeFileSync(
  join(here, 'model', 'generation_config.json'),
  `${JSON.stringify(generationConfig, null, 2)}\n`,
)
await saveModel(model, directory(values.out), {
  source: directory(join(here, 'model')),
  dtype: 'bfloat16',
  overwrite: true,
})
const predictions = await predict(model, tokenizer, baseHeldOut(SEED, 320))
const minutes = (performance.now() - started) / 60_000
console.log(
  `${run.tokens} tokens in ${minutes.toFixed(1)} minutes; ` +
    `exact match on the base's own held-out task: ${(exactMatch(predictions) * 100).toFixed(1)} %`,
)

// The training run of a fingerprint: LoRA r = 4 with dropout on every linear layer of a Llama of two
// layers, width 24, on drawn tokens; AdamW under a cosine schedule, clipping, two micro-batches.

import { Random } from '../core/rng.ts'
import { noGrad } from '../core/tape.ts'
import { type Tensor, tensor } from '../core/tensor.ts'
import { adapterTensors, attach, mergeAndUnload } from '../lora/index.ts'
import { type CausalLM, LlamaForCausalLM, readLlamaConfig } from '../models/index.ts'
import { AdamW, cosineSchedule } from '../optim/index.ts'
import { generateTokens, trainStep } from '../train/index.ts'
import type { FingerprintStage } from './fingerprint.ts'
import { Hash } from './hash.ts'

const VOCABULARY = 67
const STEPS = 8
const ROWS = 3
const TOKENS = 17

const CONFIG = {
  model_type: 'llama',
  vocab_size: VOCABULARY,
  hidden_size: 24,
  intermediate_size: 44,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  eos_token_id: 2,
}

function hashed(values: ArrayLike<number>): string {
  const hash = new Hash()
  hash.add(values)
  return hash.text()
}

function drawTokens(random: Random): Tensor {
  const data = Int32Array.from({ length: ROWS * TOKENS }, () =>
    Math.floor(random.uniform() * VOCABULARY),
  )
  return tensor(data, [ROWS, TOKENS], { dtype: 'int32' })
}

/** The loss of every micro-batch, in order. */
async function train(model: CausalLM, random: Random): Promise<number[]> {
  const optimizer = new AdamW(model.trainable(), { lr: 0.02, weightDecay: 0.05 })
  const schedule = cosineSchedule({ numWarmupSteps: 2, numTrainingSteps: STEPS })
  const losses: number[] = []
  for (let n = 0; n < STEPS; n++) {
    optimizer.scaleLearningRate(schedule(n))
    const ids = drawTokens(random)
    losses.push(await trainStep(optimizer, () => model.loss(ids, ids), { maxGradNorm: 1 }))
  }
  return losses
}

async function hashAdapter(model: CausalLM): Promise<string> {
  const hash = new Hash()
  for (const [name, parameter] of adapterTensors(model, 'default')) {
    hash.addText(name)
    hash.add(await parameter.data())
  }
  return hash.text()
}

async function hashGenerated(model: CausalLM): Promise<string> {
  const prompts = [[5, 9, 13, 21], [7]]
  const options = { maxNewTokens: 24, eosTokenIds: [] }
  const greedy = await generateTokens(model, prompts, { ...options, repetitionPenalty: 1.1 })
  const sampled = { ...options, temperature: 1.3, topK: 30, topP: 0.9, seed: 5 }
  const drawn = await generateTokens(model, prompts, sampled)
  return hashed([...greedy, ...drawn].flat())
}

export async function fingerprintRun(seed: number): Promise<FingerprintStage[]> {
  const random = new Random(seed, 'fingerprint run')
  const base = new LlamaForCausalLM(readLlamaConfig('fingerprint', CONFIG)).freeze()
  const model = attach(base, {
    r: 4,
    loraAlpha: 6,
    loraDropout: 0.1,
    targetModules: 'all-linear',
    initLoraWeights: false,
  })
  const ids = drawTokens(random)
  const logits = async (): Promise<string> => hashed(await noGrad(() => model.forward(ids)).data())
  const stages = [{ name: 'run logits of the start', hash: await logits() }]
  const losses = await train(model, random)
  stages.push({ name: 'run losses', hash: hashed(losses) })
  stages.push({ name: 'run adapter', hash: await hashAdapter(model) })
  stages.push({ name: 'run generated tokens', hash: await hashGenerated(model) })
  mergeAndUnload(model)
  stages.push({ name: 'run merged logits', hash: await logits() })
  base.dispose()
  return stages
}

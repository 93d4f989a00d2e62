// This library, as its README shows it. For products: a frozen layer (its weight in float32, or with
// `bf16` in bfloat16), or with `nn`, `nt`, `tn` the three products of matrices that are not frozen.
import { readFileSync } from 'node:fs'
import {
  AdamW,
  attach,
  Linear,
  matmul,
  memory,
  mseLoss,
  Parameter,
  setBackend,
  slice,
  step,
  tensor,
  trainStep,
} from '../../../dist/index.js'
import { LlamaForCausalLM, readLlamaConfig } from '../../../dist/models/index.js'
import { ADAMW, LLAMA, SCALE } from '../workloads.mjs'

const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url)))
const heap = () => memory().peak / 1048576

function parameter({ data, shape }, options) {
  return new Parameter(data, shape, { requiresGrad: false, ...options })
}

function frozenLinear({ data, shape: [O, I] }, options) {
  const layer = new Linear(I, O, { bias: false })
  layer.weight = parameter({ data, shape: [O, I] }, options)
  return layer
}

function transposed({ data, shape: [rows, cols] }) {
  const turned = Float32Array.from(data, (_, i) => data[(i % rows) * cols + Math.floor(i / rows)])
  return { data: turned, shape: [cols, rows] }
}

/** x·Wᵀ by a layer, or by matmul with its operands stored as the variant wants them. */
function productOf({ x, w }, variant) {
  if (variant === undefined || variant === 'bf16') {
    const layer = frozenLinear(w, variant === 'bf16' ? { dtype: 'bfloat16' } : {})
    const input = parameter(x)
    return () => layer.forward(input)
  }
  const input = parameter(variant === 'tn' ? transposed(x) : x)
  const weight = parameter(variant === 'nt' ? w : transposed(w))
  const options = { transposeA: variant === 'tn', transposeB: variant === 'nt' }
  return () => matmul(input, weight, options)
}

function product(tensors, variant, device) {
  const run = productOf(tensors, variant)
  const repeat = calls => {
    for (let i = 0; i < calls; i++) {
      step(() => {
        run()
      })
    }
  }
  /** Reads one element of the last product, so that all are waited for once. */
  const waiting = async calls => {
    repeat(calls - 1)
    await step(() => slice(slice(run(), 0, 0, 1), 1, 0, 1)).data()
  }
  return { result: async () => run().data(), steps: device === 'webgpu' ? waiting : repeat }
}

const optimizerOf = (parameters, lr) =>
  new AdamW(parameters, {
    lr,
    betas: [ADAMW.beta1, ADAMW.beta2],
    eps: ADAMW.eps,
    weightDecay: ADAMW.weightDecay,
  })

/** Gradients of a loss that nothing is updated by. */
async function gradientsOf(loss, parameters, backward) {
  step(() => backward(loss()))
  const found = await dataOf(
    Object.fromEntries(Object.entries(parameters).map(([name, { grad }]) => [name, grad])),
  )
  for (const item of Object.values(parameters)) {
    item.clearGrad?.()
  }
  return found
}

async function dataOf(parameters) {
  const entries = Object.entries(parameters)
  return Object.fromEntries(await Promise.all(entries.map(async ([k, p]) => [k, await p.data()])))
}

/** What a trained model offers the worker; `input` is a tensor whose gradient is wanted too. */
async function training(loss, named, input, lr) {
  const { backward } = await import('../../../dist/index.js')
  const optimizer = optimizerOf(Object.values(named), lr)
  return {
    step: () => trainStep(optimizer, loss),
    gradients: () => gradientsOf(loss, { ...named, ...input }, backward),
    parameters: () => dataOf(named),
  }
}

async function loraLayer(workload, { x, t, w, a, b }) {
  const { r } = workload.sizes
  const model = attach(frozenLinear(w), { r, loraAlpha: SCALE * r })
  const { A, B } = model.adapters.get('default')
  A.replace(a.data)
  B.replace(b.data)
  const input = tensor(x.data, x.shape, { requiresGrad: true })
  const target = tensor(t.data, t.shape)
  const loss = () => mseLoss(model.forward(input), target)
  return training(loss, { a: A, b: B }, { x: input }, workload.lr)
}

async function fullLayer(workload, { x, t, w }) {
  const layer = frozenLinear(w, { requiresGrad: true })
  const input = tensor(x.data, x.shape, { requiresGrad: true })
  const target = tensor(t.data, t.shape)
  const loss = () => mseLoss(layer.forward(input), target)
  return training(loss, { w: layer.weight }, { x: input }, workload.lr)
}

const PATHS = {
  norm1: 'input_layernorm',
  norm2: 'post_attention_layernorm',
  ...Object.fromEntries(['q', 'k', 'v', 'o'].map(name => [name, `self_attn.${name}_proj`])),
  ...Object.fromEntries(['gate', 'up', 'down'].map(name => [name, `mlp.${name}_proj`])),
}

/** The library's name of a tensor of the workload. */
function pathOf(name) {
  const [, layer, own] = /^layers\.(\d+)\.(\w+)$/.exec(name) ?? []
  if (own) {
    return `model.layers.${layer}.${PATHS[own]}.weight`
  }
  return {
    embed: 'model.embed_tokens.weight',
    norm: 'model.norm.weight',
    lm_head: 'lm_head.weight',
  }[name]
}

function llama(tensors) {
  const config = readLlamaConfig('bench', {
    vocab_size: LLAMA.vocabulary,
    hidden_size: LLAMA.width,
    intermediate_size: LLAMA.feedForward,
    num_hidden_layers: LLAMA.layers,
    num_attention_heads: LLAMA.heads,
    max_position_embeddings: LLAMA.sequence + 1,
    rms_norm_eps: LLAMA.eps,
    rope_theta: LLAMA.theta,
  })
  const model = new LlamaForCausalLM(config)
  const parameters = new Map(model.namedParameters())
  for (const [name, { data }] of Object.entries(tensors)) {
    if (pathOf(name)) {
      parameters.get(pathOf(name)).replace(data)
    }
  }
  return model.freeze()
}

async function transformer(workload, tensors) {
  const { rank } = LLAMA
  const model = llama(tensors)
  attach(model, { r: rank, loraAlpha: SCALE * rank, targetModules: ['q_proj', 'v_proj'] })
  const named = {}
  model.model.layers.forEach(({ self_attn }, i) => {
    for (const name of ['q', 'v']) {
      const { A, B } = self_attn[`${name}_proj`].adapters.get('default')
      named[`layers.${i}.${name}.a`] = A
      named[`layers.${i}.${name}.b`] = B
    }
  })
  for (const [name, item] of Object.entries(named)) {
    item.replace(tensors[name].data)
  }
  const tokens = tensor(tensors.tokens.data, tensors.tokens.shape, { dtype: 'int32' })
  return training(() => model.loss(tokens, tokens), named, {}, workload.lr)
}

/** A run of one workload; see worker.mjs. */
export async function create(workload, tensors, variant, device) {
  if (device === 'webgpu') {
    const { webgpu } = await import('../../../dist/backends/webgpu/index.js')
    setBackend(await webgpu())
  }
  const kinds = { lora: loraLayer, full: fullLayer, transformer }
  const run =
    workload.kind === 'product'
      ? product(tensors, variant, device)
      : await kinds[workload.kind](workload, tensors)
  return { ...run, version, heap }
}
